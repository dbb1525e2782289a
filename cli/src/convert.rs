//! `wgr convert`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;
use wgr::{Error, Result};

use crate::print;
use crate::settings::OutputArgs;
use wgr::model::Dtype;
use wgr::model::convert::{Format, adapter_to_gguf, convert, merge};
use wgr::model::weights::quantized::GgmlType;

/// Flags of `wgr convert`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model to convert: a directory, a `.gguf` file or a hub name (owner/name)
    #[arg(long, required_unless_present = "adapter")]
    model: Option<String>,
    /// LoRA adapter to convert without its base model, to GGUF as llama.cpp loads it (--lora)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "dtype", "merge"])]
    adapter: Option<String>,
    /// Directory or `.gguf` file to write
    #[arg(long, value_name = "PATH")]
    output: PathBuf,
    /// Storage type of weights [default: as in the model, quantized ones widened to f32; all kept by --merge from GGUF to
    /// GGUF]
    #[arg(long)]
    dtype: Option<DtypeName>,
    /// Layout to write [default: gguf if the output ends in .gguf, else hf]
    #[arg(long, visible_alias = "to")]
    format: Option<FormatName>,
    /// Merge a LoRA adapter into its base model
    #[arg(long)]
    merge: bool,
    /// Replace an existing output
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    show: OutputArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DtypeName {
    F32,
    F16,
    Bf16,
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<DtypeName> for Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::F32 => Self::F32,
            DtypeName::F16 => Self::F16,
            DtypeName::Bf16 => Self::BF16,
            DtypeName::Q8_0 => Self::Quantized(GgmlType::Q8_0),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Hf,
    Gguf,
}

/// Converts.
pub(crate) fn run(args: &Args) -> Result<()> {
    let output = &args.output;
    if output.exists() && !args.force {
        return Err(Error::input(output.display().to_string(), "exists already", "pass --force to replace it"));
    }
    let by_name = if output.extension().is_some_and(|end| end == "gguf") { FormatName::Gguf } else { FormatName::Hf };
    let format = match args.format.unwrap_or(by_name) {
        FormatName::Hf => Format::HuggingFace,
        FormatName::Gguf => Format::Gguf,
    };
    let (source, reading, merged) = match (&args.model, &args.adapter) {
        (_, Some(adapter)) => {
            if format != Format::Gguf {
                return Err(Error::input("`.adapter`", "is converted to GGUF only", "pass `.format` gguf"));
            }
            (adapter, adapter_to_gguf(adapter, output)?, None)
        }
        (Some(model), None) => {
            let dtype = args.dtype.map(Dtype::from);
            let (reading, merged) = match args.merge {
                true => merge(model, output, dtype, format)?,
                false => (convert(model, output, dtype, format)?, None),
            };
            (model, reading, merged)
        }
        // clap requires one of both.
        (None, None) => return Err(Error::Missing { setting: "model" }),
    };
    if !args.show.quiet {
        reading.iter().for_each(|reading| print::note(&reading.to_string()));
    }
    if args.show.json {
        let mut report = json!({ "model": source, "output": output, "reading": reading });
        if let Some(merged) = &merged {
            report["merged"] = json!(merged);
        }
        print::json(&report)?;
    } else if !args.show.quiet {
        merged.map_or(Ok(()), |merged| print::line(&merged.to_string()))?;
        print::line(&format!("wrote {}", output.display()))?;
    }
    Ok(())
}
