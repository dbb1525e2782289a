//! Trains a reward model on rows held in memory:
//!
//! ```sh
//! cargo run --example train -- examples/tiny-llama my-reward-model
//! ```

use wgr::Silent;
use wgr::data::{Exchange, Row};
use wgr::gpu::AdapterChoice;
use wgr::kernels::{self, Passes};
use wgr::train::{TrainConfig, TrainerConfig, train_on};

fn main() -> wgr::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, output] = arguments.as_slice() else {
        eprintln!("usage: train MODEL OUTPUT");
        std::process::exit(2)
    };
    pollster::block_on(run(model, output))
}

async fn run(model: &str, output: &str) -> wgr::Result<()> {
    // Levels run from 1 to 4: what users said next, or how annotators rated the response.
    let rated = [("Paris.", 4.0), ("I think it is Paris.", 3.0), ("Lyon, maybe.", 2.0), ("Ask someone else.", 1.0)];
    let row = |(response, level)| {
        let exchange = Exchange::new(vec![], "What is the capital of France?", response);
        Row::new(response, exchange).labelled(level)
    };
    let rows: Vec<Row> = rated.into_iter().map(row).collect();

    let gpu = kernels::open(&AdapterChoice::default(), Passes::ForwardAndBackward).await?;
    let trainer = TrainerConfig { output: output.into(), epochs: 20, force: true, ..TrainerConfig::default() };
    let config = TrainConfig { model: model.into(), lr: 1e-2, trainer, ..TrainConfig::default() };
    let summary = train_on(&gpu, &config, &rows, &[], &mut Silent).await?;

    println!("loss {:.3} to {:.3} in {} steps on {}", summary.first_loss, summary.last_loss, summary.steps, gpu.name());
    println!("the model is in {output}");
    Ok(())
}
