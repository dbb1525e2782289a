//! Stand-ins with the signatures of library functions that are being written. Delete this file and name the library's
//! in train.rs, score.rs and convert.rs instead.

use wgr::{Error, Result};

fn missing<T>() -> Result<T> {
    Err(Error::run("this build cannot do that yet", ""))
}

pub mod train {
    use wgr::gpu::Gpu;
    use wgr::train::{Observer, ScoreConfig, ScoreSummary, TrainConfig, TrainSummary};

    pub async fn train(_: &Gpu, _: &TrainConfig, _: &mut dyn Observer) -> super::Result<TrainSummary> {
        super::missing()
    }

    pub async fn score(_: &Gpu, _: &ScoreConfig, _: &mut dyn Observer) -> super::Result<ScoreSummary> {
        super::missing()
    }
}

#[allow(dead_code)]
pub mod convert {
    pub enum GgmlType {
        Q8_0,
    }

    pub enum Dtype {
        F32,
        F16,
        BF16,
        Quantized(GgmlType),
    }

    pub enum Format {
        HuggingFace,
        Gguf,
    }

    pub fn convert(_: &str, _: &std::path::Path, _: Option<Dtype>, _: Format) -> super::Result<()> {
        super::missing()
    }
}
