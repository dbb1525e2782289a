//! The table of rooms in `docs/ARCHITECTURE.md`, from the top to the bottom.

use std::path::{Path, PathBuf};

use super::modules::Arrow;

/// The head of the table's first column.
const HEAD: &str = "| room |";

/// Rooms by rows. A row may hold several, which then know nothing of each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rooms(Vec<Vec<PathBuf>>);

impl Rooms {
    /// Finds the table in a document.
    pub(super) fn read(document: &str) -> Self {
        let rows = document.lines().skip_while(|line| !line.starts_with(HEAD)).skip(2);
        let rows = rows.map_while(|line| line.strip_prefix('|')?.split('|').next());
        // Every second part is between backticks.
        let rooms = |cell: &str| cell.split('`').skip(1).step_by(2).map(PathBuf::from).collect();
        Self(rows.map(rooms).collect())
    }

    /// All rooms.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().flatten().map(PathBuf::as_path)
    }

    /// The row and the room of a file: of rooms within rooms, the innermost.
    pub(super) fn of(&self, file: &Path) -> Option<(usize, &Path)> {
        let rows = self.0.iter().enumerate();
        let holding = rows.flat_map(|(row, rooms)| rooms.iter().map(move |room| (row, room.as_path())));
        holding.filter(|(_, room)| file.starts_with(room)).max_by_key(|(_, room)| room.components().count())
    }

    /// What is wrong with an arrow, if it leaves its room and does not point down.
    pub(super) fn objection(&self, arrow: &Arrow) -> Option<String> {
        let ((from, room), (to, other)) = (self.of(&arrow.from)?, self.of(&arrow.to)?);
        if room == other || from < to {
            return None;
        }
        let below: Vec<String> = self.0[from + 1..].iter().flatten().map(|room| room.display().to_string()).collect();
        let allowed = if below.is_empty() { "no other room".to_owned() } else { format!("{} only", below.join(", ")) };
        let (file, target) = (arrow.from.display(), arrow.to.display());
        let place = format!("{file}:{}: `{}` is in {target}", arrow.line, arrow.path);
        Some(format!("{place}, but {} may import from {allowed}", room.display()))
    }
}
