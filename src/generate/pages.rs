//! The owners of the cache's pages.

/// Pages, counted: a page that several sequences share is free when the last of them has let it go.
#[derive(Debug)]
pub(super) struct Pages {
    free: Vec<u32>,
    users: Vec<u32>,
}

impl Pages {
    /// A number of pages, all free.
    pub(super) fn new(count: usize) -> Self {
        Self { free: (0..count as u32).rev().collect(), users: vec![0; count] }
    }

    /// Pages that nobody uses.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Takes free pages; `None`, and nothing taken, if there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Option<Vec<u32>> {
        let rest = self.free.len().checked_sub(count)?;
        let taken = self.free.split_off(rest);
        taken.iter().for_each(|page| self.users[*page as usize] = 1);
        Some(taken)
    }

    /// Another user of pages that are taken.
    pub(super) fn share(&mut self, pages: &[u32]) {
        pages.iter().for_each(|page| self.users[*page as usize] += 1);
    }

    /// One user less.
    pub(super) fn release(&mut self, pages: &[u32]) {
        for page in pages {
            let users = &mut self.users[*page as usize];
            *users -= 1;
            if *users == 0 {
                self.free.push(*page);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_page_is_free_when_its_last_user_has_gone() {
        let mut pages = Pages::new(3);
        let taken = pages.take(2).unwrap();
        assert_eq!((pages.free(), pages.take(2)), (1, None));
        pages.share(&taken[..1]);
        pages.release(&taken);
        assert_eq!(pages.free(), 2);
        pages.release(&taken[..1]);
        assert_eq!(pages.free(), 3);
        assert_eq!(pages.take(3).unwrap().len(), 3);
    }
}
