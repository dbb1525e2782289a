//! Settings of a run: the TOML file, the flags that override it, and the file that records both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use wgr::gpu::AdapterChoice;
use wgr::{Error, Ranks, Result};

/// Flags of every command that runs on an adapter.
#[derive(Debug, clap::Args, Serialize)]
pub(crate) struct DeviceArgs {
    /// Adapter to run on: part of its name, or its index in `wgr devices`
    #[arg(long, value_name = "NAME|INDEX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    /// Graphics API to use
    #[arg(long, value_parser = ["vulkan", "metal", "dx12"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
}

impl DeviceArgs {
    /// The adapter that the flags alone name.
    pub(crate) fn choice(&self) -> AdapterChoice {
        AdapterChoice { name: self.adapter.clone(), backend: self.backend.clone() }
    }
}

/// The storage of weights that are not trained.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BaseArgs {
    /// Storage type of weights that are not trained: `keep` holds each as the file stores it, quantised blocks too
    /// [default: as in the model, blocks widened to f32]
    #[arg(long, value_parser = ["keep", "f32", "f16", "bf16", "q8", "q4"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    base_dtype: Option<String>,
}

/// Flags for printing.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct OutputArgs {
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
    /// Print a machine-readable summary on stdout
    #[arg(long)]
    pub json: bool,
}

impl OutputArgs {
    /// The same for one of several ranks: only the first prints.
    pub(crate) fn of(&self, ranks: &Ranks) -> Self {
        Self { quiet: self.quiet || !ranks.is_first(), ..*self }
    }
}

/// The settings of a file and flags together.
#[derive(Debug)]
pub(crate) struct Settings<C> {
    /// Settings of the subcommand.
    pub config: C,
    /// Adapter to run on.
    pub adapter: AdapterChoice,
}

impl<C: DeserializeOwned + Serialize> Settings<C> {
    /// Reads `file`, lets `flags` override it, and takes the defaults of `C` for all other settings.
    ///
    /// # Errors
    /// A file that cannot be read, and a key in it that is unknown or of the wrong type.
    pub(crate) fn resolve(file: Option<&Path>, flags: &impl Serialize) -> Result<Self> {
        let mut table = file.map(read).transpose()?.unwrap_or_default();
        table.extend(table_of(flags)?);
        // clap has checked the flags, so a bad value must come from the file.
        let at = file.map_or("flags".into(), |path| path.display().to_string());
        let mut choose = |key: &str| match table.remove(key) {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name)),
            Some(Value::Integer(index)) => Ok(Some(index.to_string())),
            Some(other) => Err(Error::input(&at, format!("{key} cannot be {other}"), "use a name or an index")),
        };
        let adapter = AdapterChoice { name: choose("adapter")?, backend: choose("backend")? };
        let config = C::deserialize(table.clone()).map_err(|error| {
            let mut problem = error.to_string().trim().replace('\n', " ");
            // Settings that several commands share come through serde's `flatten`, which forgets the key.
            if let Some(key) = unfit::<C>(&table).filter(|key| !problem.contains(key.as_str())) {
                problem.push_str(&format!(" in `{key}`"));
            }
            Error::input(&at, problem, "keys are the long names of the flags, without dashes in front")
        })?;
        Ok(Self { config, adapter })
    }

    /// The differences from the settings saved at `path`, in words; none if none are saved.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn changes_since(&self, path: &Path) -> Result<Vec<String>> {
        if !path.exists() {
            return Ok(vec![]);
        }
        Ok(changes(&read(path)?, &table_of(&self.config)?))
    }

    /// Writes the settings to `path`, in the form that [`Settings::resolve`] reads.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut table = table_of(&self.config)?;
        // How to treat an existing output concerns only the command that met it.
        table.remove("force");
        table.remove("resume");
        let device = [("adapter", &self.adapter.name), ("backend", &self.adapter.backend)];
        table.extend(device.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into()))));
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        std::fs::write(&part, table.to_string()).map_err(|error| Error::io(&part, error))?;
        std::fs::rename(&part, path).map_err(|error| Error::io(path, error))
    }
}

/// The first setting that does not fit by itself.
fn unfit<C: DeserializeOwned>(table: &Table) -> Option<&String> {
    let alone = |key: &String, value: &Value| C::deserialize(Table::from_iter([(key.clone(), value.clone())]));
    table.iter().find(|(key, value)| alone(key, value).is_err()).map(|(key, _)| key)
}

/// The differences between two tables of settings, in words, without those that may differ in every run.
fn changes(before: &Table, now: &Table) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or("unset".to_owned(), Value::to_string);
    names
        .into_iter()
        .filter(|name| !["force", "resume", "output", "adapter", "backend"].contains(&name.as_str()))
        .filter(|name| before.get(*name) != now.get(*name))
        .map(|name| format!("{name} was {} and is {}", shown(before.get(name)), shown(now.get(name))))
        .collect()
}

/// The path of the saved settings of a run whose output is a file: `OUTPUT.wgr.toml`.
pub(crate) fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".wgr.toml");
    name.into()
}

fn read(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        Error::input(format!("{}:{line}", path.display()), error.message().replace('\n', " "), "it must be TOML")
    })
}

fn table_of(values: &impl Serialize) -> Result<Table> {
    Table::try_from(values)
        .map_err(|error| Error::input("flags", error.to_string().trim(), "paths must be valid Unicode"))
}

/// Adds to the help of each flag its default in `config`.
pub(crate) fn show_defaults(command: clap::Command, config: &impl Serialize) -> clap::Command {
    let defaults = table_of(config).unwrap_or_default();
    command.mut_args(|arg| {
        let default = match arg.get_long().and_then(|name| defaults.get(name)) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::Float(number)) => format!("{number:?}"),
            Some(Value::Integer(number)) => number.to_string(),
            _ => return arg,
        };
        let help = format!("{} [default: {default}]", arg.get_help().cloned().unwrap_or_default());
        arg.help(help)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wgr::train::TrainConfig;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn resolve(text: &str, flags: serde_json::Value) -> Result<Settings<TrainConfig>> {
        Settings::resolve(Some(file(text).path()), &flags)
    }

    #[test]
    fn flags_override_the_file_and_the_file_the_defaults() {
        let settings = resolve("levels = 5\nlr = 2e-4\nadapter = 1", json!({"levels": 3, "data": ["a"]})).unwrap();
        let expected = TrainConfig { levels: 3, lr: 2e-4, data: vec!["a".into()], ..TrainConfig::default() };
        assert_eq!(settings.config, expected);
        assert_eq!(settings.adapter.name.as_deref(), Some("1"));
    }

    #[test]
    fn saved_settings_are_read_back_without_what_concerns_an_existing_output() {
        let text = "model = 'm'\nmax-steps = 7\nobjective = 'corn'\nforce = true\nbackend = 'vulkan'";
        let settings = resolve(text, json!({})).unwrap();
        let saved = file("");
        settings.save(saved.path()).unwrap();
        let again = Settings::<TrainConfig>::resolve(Some(saved.path()), &json!({})).unwrap();
        let mut expected = settings.config;
        expected.trainer.force = false;
        assert_eq!(again.config, expected);
        assert_eq!(again.adapter.backend.as_deref(), Some("vulkan"));
    }

    #[test]
    fn what_changed_since_they_were_saved_is_named() {
        let saved = file("");
        resolve("lr = 1e-5\nseed = 7\nmax-steps = 2", json!({})).unwrap().save(saved.path()).unwrap();
        let now = resolve("lr = 2e-5\nseed = 7\nresume = true\noutput = 'o'", json!({})).unwrap();
        let changes = now.changes_since(saved.path()).unwrap();
        assert_eq!(changes, ["lr was 0.00001 and is 0.00002", "max-steps was 2 and is unset"]);
        assert!(now.changes_since(&saved.path().join("absent")).unwrap().is_empty());
    }

    #[test]
    fn faults_of_the_file_are_named() {
        for (text, named) in [
            ("levles = 4", "levles"),
            ("levels = 'four'", "levels"),
            ("levels = 3\nepochs = 'four'", "in `epochs`"),
            ("objective = 'other'", "other"),
            ("adapter = true", "adapter"),
            ("levels = 4\nlr 1", ":2: "),
        ] {
            let error = resolve(text, json!({})).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.to_string().contains(named), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
