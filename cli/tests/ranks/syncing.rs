//! Ranks that take steps of their own (`--sync-every`).

use serde_json::json;

use crate::harness::*;

/// The values of the weights that a run has written, in the order of the file.
fn values(place: &Place, output: &str) -> Vec<f64> {
    let bytes = place.weights(output);
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].chunks_exact(4).map(|word| f64::from(f32::from_le_bytes(word.try_into().unwrap()))).collect()
}

fn losses(place: &Place, output: &str) -> Vec<f64> {
    place.metrics(output).iter().filter_map(|row| row["loss"].as_f64()).collect()
}

#[test]
fn ranks_that_meet_once_took_the_steps_of_single_ranks_and_then_the_outer_one() {
    let Some(place) = Place::of_ranks() else { return };
    // Of rows that are equally long, each rank is dealt one a step.
    let rows = |of: fn(usize) -> bool| {
        let row = move |n: usize| json!({"id": format!("r{n}"), "text": text(0), "label": 1 + n * 7 % 4});
        (0..12).filter(move |n| of(*n)).map(row)
    };
    place.write("rows.jsonl", rows(|_| true));
    let shares: [fn(usize) -> bool; 3] = [|n| n % 3 == 0, |n| n % 3 == 1, |n| n % 3 == 2];
    let train = |ranks, output: &str, more: &str| {
        let usual = "--objective ordinal --no-shuffle --grad-accum 1 --epochs 1";
        let more: Vec<&str> = usual.split(' ').chain(more.split(' ')).collect();
        place.run(ranks, &place.training(output), &more);
        values(&place, output)
    };
    let together = train(3, "together", "--batch-size 3 --sync-every 4");
    // Steps so small that they are lost to rounding leave the weights as they were drawn.
    let before = train(1, "before", "--batch-size 3 --max-steps 1 --lr 1e-30");
    let mut singles = vec![];
    for (rank, share) in shares.into_iter().enumerate() {
        place.write("rows.jsonl", rows(share));
        singles.push(train(1, &format!("single-{rank}"), "--batch-size 1"));
    }
    let mut moved = 0;
    for (place, (weight, before)) in together.iter().zip(&before).enumerate() {
        let mean = singles.iter().map(|single| before - single[place]).sum::<f64>() / 3.0;
        // The first step of SGD with Nesterov momentum 0.9 and learning rate 0.7.
        let expected = before - 0.7 * (mean + 0.9 * mean);
        assert!((weight - expected).abs() <= 1e-6 + 1e-5 * mean.abs(), "{weight}, not {expected} from {before}");
        moved += usize::from(mean.abs() > 1e-4);
    }
    assert!(moved > together.len() / 2, "{moved} weights moved");
    let mean = |step: usize| (0..3).map(|rank| losses(&place, &format!("single-{rank}"))[step]).sum::<f64>() / 3.0;
    for (step, loss) in losses(&place, "together").into_iter().enumerate() {
        assert!((loss - mean(step)).abs() < 1e-5 * loss, "step {step}: {loss}, not {}", mean(step));
    }
}

#[test]
fn a_run_that_ends_between_meetings_goes_on_with_the_same_bits_on_as_many_ranks_only() {
    let Some(place) = Place::of_ranks() else { return };
    let flags = ["--sync-every", "2", "--save-every", "3", "--lora-rank", "4"];
    let resumed = [&flags[..], &["--resume"]].concat();
    for ranks in [2, 3] {
        let output = format!("on-{ranks}");
        let training = place.training(&output);
        place.run(ranks, &training, &flags);
        let adapters = || std::fs::read(place.path(&output).join("adapter_model.safetensors")).unwrap();
        let (whole, steps) = (adapters(), losses(&place, &output));
        assert_eq!(steps.len(), 6);
        // As if it had been killed after the third step.
        std::fs::remove_dir_all(place.path(&output).join("checkpoints/step-6")).unwrap();
        std::fs::remove_file(place.path(&output).join("adapter_model.safetensors")).unwrap();
        let ended = place.ended(5 - ranks, &training, &resumed);
        let text = stderr(&ended);
        let problem = format!("holds a state for each of {ranks} ranks, and this run has {}", 5 - ranks);
        assert!(ended.status.code() == Some(2) && text.contains(&problem), "{text}");
        place.run(ranks, &training, &resumed);
        assert_eq!(losses(&place, &output), steps);
        assert!(adapters() == whole, "{ranks} ranks: other bits");
    }
}
