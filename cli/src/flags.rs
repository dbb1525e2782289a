//! Texts of the library for users of flags: where it says `` `.max_length` ``, they read `--max-length`.

use std::io::{self, Write};

use wgr::Error;
use wgr::model::Reading;

/// An error as the command line prints it.
pub(crate) fn in_error(error: &Error) -> String {
    let text = in_text(&error.to_string());
    match error {
        Error::Missing { .. } => {
            format!("{text} (pass it as a flag, or set it under the same name in the file of --config)")
        }
        _ => text,
    }
}

/// A text with flags in place of the settings that it names.
pub(crate) fn in_text(text: &str) -> String {
    let mut parts = text.split("`.");
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('`') {
            Some((name, rest)) if is_setting(name) => {
                named.push_str("--");
                named.push_str(&name.replace('_', "-"));
                named.push_str(rest);
            }
            _ => {
                named.push_str("`.");
                named.push_str(part);
            }
        }
    }
    named
}

/// The same in texts that are printed as part of something else.
pub(crate) fn in_texts<'a>(texts: impl IntoIterator<Item = &'a mut String>) {
    texts.into_iter().for_each(|text| *text = in_text(text));
}

/// The same in what a run says of the models that it read: template and head may be as a setting says.
pub(crate) fn in_readings<'a>(readings: impl IntoIterator<Item = &'a mut Reading>) {
    readings.into_iter().for_each(|reading| in_texts([&mut reading.template].into_iter().chain(&mut reading.head)));
}

/// Stderr for the library's log, which arrives line by line.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(in_text(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn is_setting(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn settings_become_flags_and_the_rest_stays() {
        let hint = "lower `.batch_size` or `.lr`; a `prompt`, a `.dot file` and `.half are no settings";
        let expected = "lower --batch-size or --lr; a `prompt`, a `.dot file` and `.half are no settings";
        assert_eq!(in_text(hint), expected);
        assert_eq!(in_text("`.levels`"), "--levels");
        assert_eq!(in_text(""), "");
    }

    #[test]
    fn a_missing_setting_may_be_a_flag_or_in_the_file() {
        let error = Error::Missing { setting: "model" };
        assert_eq!(
            in_error(&error),
            "--model: is missing (pass it as a flag, or set it under the same name in the file of --config)"
        );
        assert_eq!(error.exit_code(), 2);
    }

    /// Every setting that the library names must be a flag of some command; otherwise the text would mislead users.
    #[test]
    fn every_setting_that_the_library_names_is_a_flag() {
        let mut flags = BTreeSet::new();
        flags_of(&crate::command(), &mut flags);
        let mut named = 0;
        for_each_line(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"), &mut |path, line| {
            for part in line.split("`.").skip(1) {
                if let Some((name, _)) = part.split_once('`').filter(|(name, _)| is_setting(name)) {
                    named += 1;
                    let flag = name.replace('_', "-");
                    assert!(flags.contains(&flag), "{}: there is no --{flag}: {line}", path.display());
                }
            }
        });
        assert!(named > 100, "only {named} settings were found");
    }

    fn flags_of(command: &clap::Command, flags: &mut BTreeSet<String>) {
        flags.extend(command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned));
        command.get_subcommands().for_each(|command| flags_of(command, flags));
    }

    /// Lines of code; comments may name the ends of file names in the same way.
    fn for_each_line(folder: &Path, each: &mut dyn FnMut(&Path, &str)) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                for_each_line(&path, each);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                code.for_each(|line| each(&path, line));
            }
        }
    }
}
