//! Scores responses with a reward model, such as one that the example `train` wrote:
//!
//! ```sh
//! cargo run --example score -- my-reward-model
//! ```

use wgr::Silent;
use wgr::data::Exchange;
use wgr::gpu::AdapterChoice;
use wgr::kernels::{self, Passes};
use wgr::train::RewardModel;

fn main() -> wgr::Result<()> {
    let Some(model) = std::env::args().nth(1) else {
        eprintln!("usage: score MODEL");
        std::process::exit(2)
    };
    pollster::block_on(run(&model))
}

async fn run(model: &str) -> wgr::Result<()> {
    let gpu = kernels::open(&AdapterChoice::default(), Passes::Forward).await?;
    let model = RewardModel::open(model)?;
    println!("{}", model.reading);
    let mut scorer = model.load(&gpu, &mut Silent)?;

    // Texts are taken as they are; an `Exchange` goes through the template that the model was trained with.
    for score in scorer.score(["Paris is the capital of France.", "Ask someone else."]).await? {
        println!("{:.3}", score.score);
    }
    let responses = ["Paris.", "Lyon, maybe."];
    let exchanges = responses.map(|response| Exchange::new(vec![], "What is the capital of France?", response));
    for (response, score) in responses.iter().zip(scorer.score(exchanges).await?) {
        println!("{:.3}  {response}", score.score);
    }
    Ok(())
}
