//! Models in several GGUF files, as split by `llama-gguf-split` of llama.cpp.
//!
//! The first part holds all metadata, every part some of the tensors and three keys: `split.no`, counted from 0,
//! `split.count` and `split.tensors.count` (`tools/gguf-split/gguf-split.cpp` of llama.cpp). Only the names of the
//! files say where the other parts are: `NAME-00001-of-00003.gguf`.

use std::path::{Path, PathBuf};

use super::Entry;
use super::gguf::{self, Metadata};
use super::mapped::Mapped;
use crate::files::fs;
use crate::{Error, Result};

/// Links are followed this far from the name given to one that says which part a file is.
const MAX_LINKS: usize = 16;

/// The name of a part, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct PartName {
    /// Everything before the number.
    pub prefix: String,
    /// The number, counted from 1.
    pub number: u32,
    /// The number of parts as it is written, leading zeros included.
    pub total: String,
    digits: usize,
}

impl PartName {
    /// Takes the name of a file apart; `None` for one that is not the name of a part.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (left, total) = name.rsplit_once("-of-")?;
        let (prefix, number) = left.rsplit_once('-')?;
        let count = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|count| digits && *count > 0)
        };
        let (digits, number) = (number.len(), count(number)?);
        count(total)?;
        Some(Self { prefix: prefix.to_owned(), number, total: total.to_owned(), digits })
    }

    /// The file of another part beside `path`, written with the same number of digits; if there is none, with as few as
    /// possible.
    fn sibling(&self, path: &Path, number: u32) -> PathBuf {
        let named = |digits| path.with_file_name(format!("{}-{number:0digits$}-of-{}.gguf", self.prefix, self.total));
        let (padded, short) = (named(self.digits), named(1));
        if !fs::exists(&padded) && fs::exists(&short) { short } else { padded }
    }
}

/// One file of a model, and the tensors in it.
#[derive(Debug)]
pub(super) struct Part {
    /// The file.
    pub file: Mapped,
    /// Its tensors, under their GGUF names.
    pub entries: Vec<Entry>,
}

/// A file's metadata about itself as a part.
struct Split {
    /// From 0.
    number: u32,
    count: u32,
    tensors: Option<u32>,
}

fn read(path: &Path) -> Result<(Metadata, Part)> {
    let file = Mapped::open(path)?;
    let (metadata, entries) = gguf::header(&file, &path.display().to_string())?;
    Ok((metadata, Part { file, entries }))
}

/// `None` for a file that is a whole model.
fn split(metadata: &Metadata) -> Result<Option<Split>> {
    let Some(count) = metadata.whole("split.count")?.filter(|count| *count > 1) else { return Ok(None) };
    let Some(number) = metadata.whole("split.no")? else {
        return Err(metadata.error("split.no", format!("is missing in one of {count} files"), ""));
    };
    if number >= count {
        let problem = format!("{number} is beyond the {count} files of split.count, counted from 0");
        return Err(metadata.error("split.no", problem, ""));
    }
    Ok(Some(Split { number, count, tensors: metadata.whole("split.tensors.count")? }))
}

/// Opens the model that the file `path` holds or is a part of: its metadata, and all its files in order.
///
/// # Errors
/// A part that is missing, damaged, or does not belong to the others; names that do not tell where they are.
pub(super) fn open(path: &Path) -> Result<(Metadata, Vec<Part>)> {
    let (metadata, part) = read(path)?;
    let Some(Split { number, count, tensors }) = split(&metadata)? else { return Ok((metadata, vec![part])) };
    let is_part = format!("is part {} of {count}", number + 1);
    let (path, name) = named(path).ok_or_else(|| {
        let problem = format!("{is_part}, and its name does not say where the others are");
        let hint = format!(
            "name the parts NAME-00001-of-{count:05}.gguf and so on, or join them with \
                            `llama-gguf-split --merge` of llama.cpp"
        );
        Error::input(path.display().to_string(), problem, hint)
    })?;
    if name.number != number + 1 || name.total.parse() != Ok(count) {
        let problem = format!(
            "{is_part} according to its metadata, but part {} of {} according to its name",
            name.number, name.total
        );
        return Err(Error::input(path.display().to_string(), problem, "restore its name, or download it again"));
    }
    let (mut given, mut first, mut parts) = (Some((metadata, part)), None, Vec::new());
    for other in 0..count {
        let (metadata, part) = match given.take_if(|_| other == number) {
            Some(opened) => opened,
            None => read_sibling(&name.sibling(&path, other + 1), &path, &is_part)?,
        };
        let belongs = split(&metadata)?
            .is_some_and(|split| (split.number, split.count) == (other, count) && split.tensors == tensors);
        if !belongs {
            let problem = format!("is not part {} of {count}, as its name says, of the same model", other + 1);
            return Err(Error::input(metadata.at(), problem, "split.no, split.count and split.tensors.count decide"));
        }
        first.get_or_insert(metadata);
        parts.push(part);
    }
    let found: usize = parts.iter().map(|part| part.entries.len()).sum();
    let metadata = first.ok_or_else(|| Error::input(path.display().to_string(), "has no parts", ""))?;
    match tensors {
        Some(tensors) if tensors as usize != found => {
            let problem = format!("promises {tensors} tensors, and its {count} files hold {found}");
            Err(metadata.error(
                "split.tensors.count",
                problem,
                "the files belong to different models; download them again",
            ))
        }
        _ => Ok((metadata, parts)),
    }
}

fn read_sibling(path: &Path, given: &Path, is_part: &str) -> Result<(Metadata, Part)> {
    if !fs::exists(path) {
        let problem = format!("is missing: {} {is_part}", given.display());
        return Err(Error::input(path.display().to_string(), problem, "download all parts into one directory"));
    }
    read(path)
}

/// A file by a name that says which part it is: that given, or one that it is a link to.
fn named(path: &Path) -> Option<(PathBuf, PartName)> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Some(name) = PartName::of(&path) {
            return Some((path, name));
        }
        let target = fs::read_link(&path).ok()?;
        path = path.parent()?.join(target);
    }
    None
}

/// Cuts GGUF files, as `llama-gguf-split` would.
#[cfg(test)]
pub(in crate::model) mod cut {
    use super::*;

    /// The parts of a file that holds `token_embd.weight` first, with the given numbers of tensors.
    pub(crate) fn cut(whole: &[u8], counts: &[usize]) -> Vec<Vec<u8>> {
        let (_, entries) = gguf::header(whole, "whole.gguf").unwrap();
        assert_eq!(counts.iter().sum::<usize>(), entries.len());
        let name = b"token_embd.weight";
        let first = whole.windows(name.len()).position(|window| window == name).unwrap() - 8;
        let (pairs, total) = (&whole[24..first], entries.len());
        let mut rest = &entries[..];
        let mut parts = Vec::new();
        for (number, count) in counts.iter().enumerate() {
            let (here, others) = rest.split_at(*count);
            rest = others;
            let pairs = if number == 0 { pairs } else { &[] };
            let values = if number == 0 { u64::from_le_bytes(whole[16..24].try_into().unwrap()) } else { 0 };
            let mut out = whole[..8].to_vec();
            out.extend((here.len() as u64).to_le_bytes());
            out.extend((values + 3).to_le_bytes());
            out.extend(pairs);
            key(&mut out, "split.no", 2, &(number as u16).to_le_bytes());
            key(&mut out, "split.count", 2, &(counts.len() as u16).to_le_bytes());
            key(&mut out, "split.tensors.count", 5, &(total as i32).to_le_bytes());
            tensors(&mut out, whole, here);
            parts.push(out);
        }
        parts
    }

    fn string(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }

    fn key(out: &mut Vec<u8>, key: &str, kind: u32, value: &[u8]) {
        string(out, key);
        out.extend(kind.to_le_bytes());
        out.extend(value);
    }

    fn tensors(out: &mut Vec<u8>, whole: &[u8], entries: &[Entry]) {
        let mut data = Vec::new();
        for entry in entries {
            string(out, &entry.name);
            out.extend((entry.info.shape.len() as u32).to_le_bytes());
            entry.info.shape.iter().rev().for_each(|size| out.extend((*size as u64).to_le_bytes()));
            out.extend(gguf::type_code(entry.info.dtype).to_le_bytes());
            out.extend((data.len() as u64).to_le_bytes());
            data.extend(&whole[entry.range.clone()]);
            data.resize(data.len().next_multiple_of(gguf::ALIGNMENT), 0);
        }
        out.resize(out.len().next_multiple_of(gguf::ALIGNMENT), 0);
        out.extend(data);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::cut::cut;
    use super::*;
    use crate::model::convert::{Format, convert};
    use crate::model::lora::{LoraSettings, NewAdapter, write_adapter};
    use crate::model::tiny::Tiny;
    use crate::model::weights::Checkpoint;
    use crate::model::{Dtype, Family, TensorSpec};

    const NAMES: [&str; 3] = ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"];

    /// A model in one file, and cut into three whose first holds `first` tensors.
    fn in_three(first: usize) -> Tiny {
        let tiny = Tiny::new(Family::Qwen2, json!({"num_hidden_layers": 1}), Dtype::F16);
        convert(&tiny.source(), &tiny.path("whole.gguf"), None, Format::Gguf).unwrap();
        let whole = fs::read(tiny.path("whole.gguf")).unwrap();
        let (_, entries) = gguf::header(&whole, "").unwrap();
        for (name, part) in NAMES.iter().zip(cut(&whole, &[first, 3, entries.len() - first - 3])) {
            fs::write(tiny.path(name), part).unwrap();
        }
        tiny
    }

    fn opened(tiny: &Tiny, name: &str) -> Checkpoint {
        Checkpoint::open(&tiny.named(name)).unwrap()
    }

    fn refused(tiny: &Tiny, name: &str) -> String {
        Checkpoint::open(&tiny.named(name)).unwrap_err().to_string()
    }

    /// Changes the first two bytes behind a key's name and type.
    fn set(tiny: &Tiny, name: &str, key: &str, number: u16) {
        let mut bytes = fs::read(tiny.path(name)).unwrap();
        let at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).unwrap() + key.len() + 4;
        bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
        fs::write(tiny.path(name), bytes).unwrap();
    }

    #[test]
    fn every_part_opens_the_whole_model() {
        for first in [4, 0] {
            let tiny = in_three(first);
            let whole = opened(&tiny, "whole.gguf");
            let prints: Vec<_> = NAMES.iter().map(|name| opened(&tiny, name).fingerprint().unwrap()).collect();
            for name in NAMES {
                let model = opened(&tiny, name);
                assert_eq!(model.names().collect::<Vec<_>>(), whole.names().collect::<Vec<_>>());
                for tensor in whole.names() {
                    assert_eq!(model.read_f32(tensor).unwrap(), whole.read_f32(tensor).unwrap(), "{name}: {tensor}");
                }
                assert_eq!(model.travelling_files().unwrap(), whole.travelling_files().unwrap());
                assert_eq!(model.fingerprint().unwrap(), prints[0]);
            }
            // Weights of any part count.
            let mut last = fs::read(tiny.path(NAMES[2])).unwrap();
            *last.last_mut().unwrap() ^= 1;
            fs::write(tiny.path(NAMES[2]), last).unwrap();
            assert_ne!(opened(&tiny, NAMES[0]).fingerprint().unwrap(), prints[0]);
        }
    }

    #[test]
    fn names_are_taken_apart() {
        let of = |name: &str| PartName::of(Path::new(name)).map(|name| (name.prefix, name.number, name.total));
        assert_eq!(of("d/a-b-00002-of-00010.gguf"), Some(("a-b".into(), 2, "00010".into())));
        assert_eq!(of("a-1-of-2.gguf"), Some(("a".into(), 1, "2".into())));
        for name in ["a.gguf", "a-of-2.gguf", "a-x-of-2.gguf", "a-1-of-.gguf", "a-0-of-2.gguf", "a-1-of-2.bin"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn other_digits_and_links_lead_to_the_other_parts() {
        let tiny = in_three(4);
        let fingerprint = opened(&tiny, NAMES[0]).fingerprint().unwrap();
        for (i, name) in NAMES.iter().enumerate() {
            fs::copy(tiny.path(name), tiny.path(&format!("short-{}-of-3.gguf", i + 1))).unwrap();
        }
        assert_eq!(opened(&tiny, "short-2-of-3.gguf").fingerprint().unwrap(), fingerprint);
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            // As in the cache of the hub, where names are links to files called by their hash.
            fs::create_dir(tiny.path("blobs")).unwrap();
            fs::create_dir(tiny.path("snapshot")).unwrap();
            for name in NAMES {
                fs::rename(tiny.path(name), tiny.path("blobs").join(name.replace(".gguf", ""))).unwrap();
                let target = Path::new("../blobs").join(name.replace(".gguf", ""));
                symlink(target, tiny.path("snapshot").join(name)).unwrap();
            }
            symlink(Path::new("snapshot").join(NAMES[1]), tiny.path("mine.gguf")).unwrap();
            for name in ["snapshot/m-00003-of-00003.gguf", "mine.gguf"] {
                let model = opened(&tiny, name);
                assert_eq!(model.fingerprint().unwrap(), fingerprint);
                assert!(model.base_name().ends_with(name), "{}", model.base_name());
            }
        }
    }

    #[test]
    fn adapters_find_a_base_model_in_parts_again() {
        let tiny = in_three(4);
        let lora = LoraSettings { lora_rank: Some(1), lora_targets: vec!["o_proj".into()], ..LoraSettings::default() };
        let layer = "model.layers.0.self_attn.o_proj";
        let spec = |which: &str, shape: [usize; 2]| TensorSpec {
            name: format!("{layer}.{which}.weight"),
            shape: shape.to_vec(),
        };
        let (part, lora) = (opened(&tiny, NAMES[1]), lora.resolve().unwrap().unwrap());
        let adapter = NewAdapter {
            config: &lora.config,
            base: part.base_name(),
            tensors: vec![spec("lora_A", [1, 16]), spec("lora_B", [8, 1])],
            files: vec![],
        };
        assert!(adapter.base.ends_with(NAMES[1]), "{}", adapter.base);
        write_adapter(&tiny.path("adapter"), &adapter, |name| Ok(vec![0.5; if name.contains("_A") { 16 } else { 8 }]))
            .unwrap();
        let (base, adapted) = (opened(&tiny, "whole.gguf"), opened(&tiny, "adapter"));
        let name = format!("{layer}.weight");
        assert_eq!(adapted.read_f32(&name).unwrap(), base.read_f32(&name).unwrap());
        assert_ne!(adapted.read_merged(&name).unwrap(), base.read_f32(&name).unwrap());
        fs::remove_file(tiny.path(NAMES[2])).unwrap();
        let message = refused(&tiny, "adapter");
        assert!(message.contains("base_model_name_or_path") && message.contains("00003.gguf: is missing"), "{message}");
    }

    #[test]
    fn parts_that_are_missing_or_do_not_belong_together_are_named() {
        let tiny = in_three(4);
        set(&tiny, NAMES[1], "split.count", 4);
        assert!(refused(&tiny, NAMES[0]).contains("m-00002-of-00003.gguf: is not part 2 of 3"));
        let message = refused(&tiny, NAMES[1]);
        assert!(
            message.contains("is part 2 of 4 according to its metadata, but part 2 of 00003 according to its name"),
            "{message}"
        );
        set(&tiny, NAMES[1], "split.count", 3);
        set(&tiny, NAMES[1], "split.no", 0);
        assert!(refused(&tiny, NAMES[2]).contains("m-00002-of-00003.gguf: is not part 2 of 3"));
        set(&tiny, NAMES[1], "split.no", 3);
        assert!(refused(&tiny, NAMES[1]).contains("split.no: 3 is beyond the 3 files"));
        set(&tiny, NAMES[1], "split.no", 1);
        set(&tiny, NAMES[1], "split.tensors.count", 7);
        assert!(refused(&tiny, NAMES[0]).contains("m-00002-of-00003.gguf: is not part 2 of 3"));
        for name in NAMES {
            set(&tiny, name, "split.tensors.count", 7);
        }
        assert!(refused(&tiny, NAMES[1]).contains("m-00001-of-00003.gguf: split.tensors.count: promises 7 tensors"));

        let tiny = in_three(4);
        fs::copy(tiny.path(NAMES[1]), tiny.path("renamed.gguf")).unwrap();
        let message = refused(&tiny, "renamed.gguf");
        assert!(message.contains("renamed.gguf: is part 2 of 3") && message.contains("--merge"), "{message}");
        fs::remove_file(tiny.path(NAMES[0])).unwrap();
        let message = refused(&tiny, NAMES[2]);
        assert!(message.contains("m-00001-of-00003.gguf: is missing: "), "{message}");
        assert!(message.contains("m-00003-of-00003.gguf is part 3 of 3 (download all"), "{message}");
    }

    #[test]
    fn a_tensor_in_two_parts_is_named() {
        let tiny = in_three(4);
        let whole = fs::read(tiny.path("whole.gguf")).unwrap();
        let count = gguf::header(&whole, "").unwrap().1.len();
        // The first five tensors, three of which are in the second part again.
        let parts = cut(&whole, &[5, 2, count - 7]);
        fs::write(tiny.path(NAMES[0]), &parts[0]).unwrap();
        let last = cut(&whole, &[4, 4, count - 8]).pop().unwrap();
        fs::write(tiny.path(NAMES[2]), last).unwrap();
        assert!(refused(&tiny, NAMES[0]).contains("exists twice"));
    }
}
