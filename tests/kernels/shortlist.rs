use wgr::gpu::{Dtype, Gpu, Layout, Mode, Tensor};
use wgr::kernels::shortlist::{self, COLUMNS, Draw, Found, Rows};
use wgr::reference;

use crate::harness::*;

/// A row of logits, how to draw from it, and the tokens to penalise.
struct Row {
    logits: Vec<f32>,
    draw: Draw,
    seen: Vec<usize>,
}

/// What the device finds before and after the penalties, and the logits after them.
fn find(gpu: &Gpu, rows: &[Row]) -> (Vec<Found>, Vec<Found>, Vec<f32>) {
    let columns = Layout::plain(rows[0].logits.len());
    let logits: Vec<f32> = rows.iter().flat_map(|row| row.logits.clone()).collect();
    let logits = activation(gpu, columns, &logits, Dtype::F32);
    let draws: Vec<f32> = rows.iter().flat_map(|row| row.draw.words()).collect();
    let draws = vector(gpu, Layout::plain(draws.len()), &draws);
    let list = |values: Vec<u32>| {
        let list = Tensor::workspace(gpu, "list", values.len().max(1), Dtype::U32).unwrap();
        list.write_u32(gpu, &values);
        list
    };
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.seen.len() as u32;
        Some(*end)
    });
    let offsets = list(std::iter::once(0).chain(ends).collect());
    let seen = list(rows.iter().flat_map(|row| &row.seen).map(|token| *token as u32).collect());
    let room = || activation(gpu, Layout::plain(COLUMNS), &vec![9.0; rows.len() * COLUMNS], Dtype::F32);
    let (plain, penalised) = (room(), room());
    let of = Rows { rows: rows.len(), logits: &logits, draws: &draws };
    run(gpu, |recorder| {
        shortlist::forward(recorder, &of, &plain)?;
        shortlist::penalise(recorder, &of, &offsets, &seen)?;
        shortlist::forward(recorder, &of, &penalised)
    });
    let found = |tensor| read(gpu, tensor).chunks(COLUMNS).map(Found::parse).collect();
    (found(&plain), found(&penalised), read(gpu, &logits))
}

/// A share of the probability that is in the middle of a token's.
fn middle_of(token: usize, logits: &[f32], scale: f32) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |token: usize| (f64::from(scale) * f64::from(logits[token] - largest)).exp();
    let by_lane = || (0..256).flat_map(|lane| (lane..logits.len()).step_by(256));
    let before: f64 = by_lane().take_while(|other| *other != token).map(weight).sum();
    ((before + weight(token) / 2.0) / by_lane().map(weight).sum::<f64>()) as f32
}

fn assert_found(what: &str, found: &Found, logits: &[f32], draw: Draw) {
    let twin = reference::shortlist::forward(&wide(logits), f64::from(draw.scale), f64::from(draw.share));
    let sums = [found.largest, found.sum, found.scaled_sum];
    assert_close(&format!("{what} sums"), &sums, &[twin.largest, twin.sum, twin.scaled_sum], F32);
    assert_eq!(found.drawn, (twin.drawn as u32, logits[twin.drawn]), "{what}: drawn");
    let mut listed = found.listed.clone().expect("the list has room");
    listed.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let expected: Vec<(u32, f32)> = twin.tokens.iter().map(|token| (*token as u32, logits[*token])).collect();
    assert_eq!(listed, expected, "{what}: list");
    assert_eq!(found.not_finite, None, "{what}");
}

#[test]
fn shortlists_before_and_after_penalties_agree() {
    everywhere(|gpu| {
        for vocabulary in [1, 63, 256, 257, 1003] {
            // More rows than bindings of the test's small limit hold are refused when the logits are allocated.
            let rows: Vec<Row> = (0..5)
                .map(|row| {
                    let logits: Vec<f32> = random(vocabulary, row).iter().map(|value| 8.0 * value).collect();
                    // One of the likely ones: f32 has no share within an unlikely one's.
                    let mut ranked: Vec<usize> = (0..vocabulary).collect();
                    ranked.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
                    let token = ranked[row as usize % vocabulary];
                    let scale = [1.0, 0.5, 2.0, 1.3, 0.0][row as usize];
                    let draw = Draw { scale, share: middle_of(token, &logits, scale), penalty: 1.5 };
                    let seen = (0..vocabulary).filter(|token| token % (row as usize + 2) == 0).collect();
                    Row { logits, draw, seen }
                })
                .collect();
            let (found, penalised, logits) = find(gpu, &rows);
            for (index, row) in rows.iter().enumerate() {
                let what = |part| format!("{part} row {index} of {vocabulary}");
                assert_found(&what("plain"), &found[index], &row.logits, row.draw);
                let after = &logits[index * vocabulary..][..vocabulary];
                let mut expected = wide(&row.logits);
                reference::shortlist::penalise(&mut expected, &row.seen, 1.5);
                assert_close(&what("penalised"), after, &expected, F32);
                // A share in the middle of a token before the penalty may be anywhere after it.
                let drawn = Draw { share: 0.0, ..row.draw };
                let twin = reference::shortlist::forward(&wide(after), f64::from(drawn.scale), 0.0);
                assert_eq!(penalised[index].listed.as_ref().map(Vec::len), Some(twin.tokens.len()));
                let sums = [penalised[index].largest, penalised[index].scaled_sum];
                assert_close(&what("penalised sums"), &sums, &[twin.largest, twin.scaled_sum], F32);
            }
        }
    });
}

#[test]
fn lists_without_room_and_logits_that_are_no_numbers_are_told() {
    checked(|gpu| {
        let draw = Draw { scale: 1.0, share: 1.0, penalty: 1.0 };
        let row = |logits| Row { logits, draw, seen: vec![] };
        let mut bad = random(500, 1);
        (bad[77], bad[400]) = (f32::NEG_INFINITY, f32::NAN);
        // All large ones in one of the 256 places.
        let clustered = (0..100_000).map(|token| if token % 256 == 3 { 5.0 } else { 0.0 }).take(500);
        let (found, ..) = find(gpu, &[row(vec![2.0; 500]), row(bad), row(clustered.collect())]);
        assert_eq!((found[0].listed.as_ref(), found[0].sum, found[0].largest), (None, 500.0, 2.0));
        // The last token of the last lane that has any: lane 255 has one of 500.
        assert_eq!(found[0].drawn, (255, 2.0));
        assert_eq!(found[1].not_finite, Some(77));
        assert_eq!(found[2].listed, None);
        assert_eq!(found[2].not_finite, None);
    });
    let gpu = open(Mode::Trusted, None);
    let wide = Row { logits: random(151_936, 5), draw: Draw { scale: 1.0, share: 0.5, penalty: 1.0 }, seen: vec![] };
    let (found, ..) = find(&gpu, std::slice::from_ref(&wide));
    let listed = found[0].listed.as_ref().unwrap().len();
    assert!((64..124).contains(&listed), "{listed} of a long vocabulary");
}
