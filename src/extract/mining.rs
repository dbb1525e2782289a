//! Implicit feedback mining: neutral turns take the level of a positive turn soon after, on the same topic.

use std::collections::HashMap;
use std::sync::Arc;

use super::embeddings::{Embed, Embeddings};
use super::report::Mining;
use super::turn::Turn;
use crate::Result;
use crate::data::Feedback;

/// A neutral turn looks at this many turns after it.
pub const REACH: usize = 2;

/// A turn with its verdict, as mining sees it.
#[derive(Clone, Copy, Debug)]
pub struct JudgedTurn<'a> {
    /// The turn.
    pub turn: &'a Turn,
    /// The level the annotator gave.
    pub feedback: Feedback,
    /// Whether the filters left it; a turn that they dropped can give its level and cannot take one.
    pub kept: bool,
    /// Whether its response is a refusal, which is never praised by what came later.
    pub refusal: bool,
}

/// The level that a neutral turn took from a later one, and its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mined {
    /// The number of the later response.
    pub from: usize,
    /// The level it took.
    pub level: Feedback,
    /// The cosine of the two queries.
    pub cosine: f32,
}

/// The level of mined turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinedLevel {
    /// That of the later turn, as in the paper.
    Future,
    /// Always the same, as in the public code.
    Fixed(Feedback),
}

/// Mines windows of turns.
#[derive(Debug)]
pub struct Miner<E> {
    embeddings: Embeddings<E>,
    threshold: f32,
    level: MinedLevel,
    counts: Mining,
}

/// A turn that may take the level of a later one; places in the window.
struct Candidate {
    turn: usize,
    /// The positive turns within reach, nearest first.
    givers: Vec<usize>,
}

impl<E: Embed> Miner<E> {
    /// A miner that calls two queries alike where their cosine is above `threshold`.
    pub fn new(embeddings: Embeddings<E>, threshold: f32, level: MinedLevel) -> Self {
        Self { embeddings, threshold, level, counts: Mining::default() }
    }

    /// Gives neutral turns the level of the nearest positive turn on the same topic (arXiv 2602.08829, section 3): one
    /// result per turn. The turns are of whole conversations in order, without those that have no verdict; how far two
    /// turns are apart is told by their numbers.
    ///
    /// # Errors
    /// The queries cannot be embedded.
    pub async fn mine(&mut self, turns: &[JudgedTurn<'_>]) -> Result<Vec<Option<Mined>>> {
        let candidates = self.candidates(turns);
        let queries = Queries::of(turns, &candidates);
        let vectors = self.embeddings.of(&queries.texts).await?;
        let mut mined = vec![None; turns.len()];
        for Candidate { turn, givers } in candidates {
            for giver in givers {
                let [a, b] = [turn, giver].map(|index| &vectors[queries.place(&turns[index])][..]);
                let cosine = cosine(a, b);
                // Every pair counts, so that the report shows what another threshold would do.
                self.counts.cosines[bin(cosine)] += 1;
                if cosine > self.threshold && mined[turn].is_none() {
                    let level = match self.level {
                        MinedLevel::Future => turns[giver].feedback,
                        MinedLevel::Fixed(level) => level,
                    };
                    mined[turn] = Some(Mined { from: turns[giver].turn.number, level, cosine });
                }
            }
        }
        self.counts.mined += mined.iter().flatten().count() as u64;
        Ok(mined)
    }

    /// The counts so far.
    pub fn counts(&self) -> Mining {
        Mining { embedded: self.embeddings.embedded(), cached: self.embeddings.cached(), ..self.counts }
    }

    /// Kept neutral turns with a positive turn within reach; refusals are counted and left out.
    fn candidates(&mut self, turns: &[JudgedTurn]) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (index, judged) in turns.iter().enumerate() {
            if judged.feedback != Feedback::Neutral || !judged.kept {
                continue;
            }
            let within_reach = |later: &usize| {
                let (turn, later) = (judged.turn, turns[*later].turn);
                Arc::ptr_eq(&turn.conversation, &later.conversation) && later.number <= turn.number + REACH
            };
            let later = (index + 1..turns.len()).take_while(within_reach);
            let givers: Vec<usize> = later.filter(|later| turns[*later].feedback.is_positive()).collect();
            if givers.is_empty() {
                continue;
            }
            self.counts.candidates += 1;
            if judged.refusal {
                self.counts.refusals += 1;
            } else {
                candidates.push(Candidate { turn: index, givers });
            }
        }
        candidates
    }
}

/// The queries to compare, each once.
struct Queries<'a> {
    texts: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Queries<'a> {
    fn of(turns: &[JudgedTurn<'a>], candidates: &[Candidate]) -> Self {
        let mut queries = Self { texts: vec![], places: HashMap::new() };
        let places = candidates.iter().flat_map(|candidate| std::iter::once(&candidate.turn).chain(&candidate.givers));
        for text in places.map(|index| turns[*index].turn.query()) {
            queries.places.entry(text).or_insert_with(|| {
                queries.texts.push(text);
                queries.texts.len() - 1
            });
        }
        queries
    }

    fn place(&self, judged: &JudgedTurn) -> usize {
        self.places[judged.turn.query()]
    }
}

/// The cosine of the angle between two vectors; 0 where one has no direction.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { (dot(a, b) / lengths) as f32 } else { 0.0 }
}

/// The bin of a cosine among twenty from −1 to 1.
fn bin(cosine: f32) -> usize {
    (((cosine + 1.0) * 10.0) as usize).min(19)
}

#[cfg(test)]
mod tests {
    use super::super::turn::tests::conversation;
    use super::*;

    /// Reads a query as the numbers of its vector, and remembers what it was asked for.
    #[derive(Default)]
    struct Numbers {
        asked: Vec<Vec<String>>,
    }

    impl Embed for Numbers {
        fn identity(&self) -> u128 {
            0
        }

        async fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            self.asked.push(texts.iter().map(|text| (*text).to_owned()).collect());
            let vector = |text: &&str| text.split(' ').map(|number| number.parse().unwrap()).collect();
            Ok(texts.iter().map(vector).collect())
        }
    }

    /// Cosines with `NORTH`: 1, ½ and 0.
    const NORTH: &str = "1 0 0 0";
    const HALF: &str = "1 1 1 1";
    const EAST: &str = "0 1 0 0";
    use Feedback::{Correction, Engagement, Neutral, Satisfaction};

    /// The turns of a conversation with these queries.
    fn turns(queries: &[&str]) -> Vec<Turn> {
        let mut conversation = conversation(&["user", "assistant"].repeat(queries.len() + 1));
        for (query, message) in queries.iter().zip(conversation.messages.iter_mut().step_by(2)) {
            message.content = (*query).to_owned();
        }
        Turn::of(&Arc::new(conversation))
    }

    fn judged<'a>(turns: &'a [Turn], levels: &[Feedback]) -> Vec<JudgedTurn<'a>> {
        assert_eq!(turns.len(), levels.len());
        let judge =
            |(turn, level): (&'a Turn, &Feedback)| JudgedTurn { turn, feedback: *level, kept: true, refusal: false };
        turns.iter().zip(levels).map(judge).collect()
    }

    fn miner(threshold: f32, level: MinedLevel) -> Miner<Numbers> {
        Miner::new(Embeddings::new(Numbers::default(), None), threshold, level)
    }

    /// From which turn each turn took which level.
    fn taken(turns: &[JudgedTurn]) -> Vec<Option<(usize, Feedback)>> {
        let mined = pollster::block_on(miner(0.4, MinedLevel::Future).mine(turns)).unwrap();
        mined.into_iter().map(|mined| mined.map(|mined| (mined.from, mined.level))).collect()
    }

    #[test]
    fn the_nearest_qualifying_turn_gives_its_level_and_only_once() {
        let both = turns(&[NORTH, HALF, NORTH]);
        let levels = [Neutral, Engagement, Satisfaction];
        assert_eq!(taken(&judged(&both, &levels)), [Some((2, Engagement)), None, None]);
        // The nearer one is about something else.
        let farther = turns(&[NORTH, EAST, NORTH]);
        assert_eq!(taken(&judged(&farther, &levels)), [Some((3, Satisfaction)), None, None]);
        // Or does not praise; and two neutral turns may take from one.
        let levels = [Neutral, Neutral, Satisfaction];
        assert_eq!(taken(&judged(&both, &levels)), [Some((3, Satisfaction)), Some((3, Satisfaction)), None]);
        assert_eq!(taken(&judged(&both, &[Correction, Correction, Satisfaction])), [None; 3]);
    }

    #[test]
    fn reach_counts_real_turns_and_not_those_that_are_left() {
        let turns = turns(&[NORTH; 4]);
        let all = judged(&turns, &[Neutral, Neutral, Satisfaction, Engagement]);
        assert_eq!(taken(&[all[0], all[2]]), [Some((3, Satisfaction)), None]);
        assert_eq!(taken(&[all[0], all[3]]), [None, None]);
        assert_eq!(taken(&[all[1], all[3]]), [Some((4, Engagement)), None]);
    }

    #[test]
    fn refusals_never_take_and_dropped_turns_only_give() {
        let turns = turns(&[NORTH; 3]);
        let mut judged = judged(&turns, &[Neutral, Neutral, Satisfaction]);
        judged[0].refusal = true;
        judged[1].kept = false;
        judged[2].kept = false;
        assert_eq!(taken(&judged), [None; 3]);
        judged[0].refusal = false;
        assert_eq!(taken(&judged), [Some((3, Satisfaction)), None, None]);
    }

    #[test]
    fn the_threshold_itself_is_not_enough() {
        let turns = turns(&[NORTH, HALF]);
        let judged = judged(&turns, &[Neutral, Engagement]);
        let at = |threshold| pollster::block_on(miner(threshold, MinedLevel::Future).mine(&judged)).unwrap()[0];
        assert_eq!(at(0.5), None);
        assert_eq!(at(0.5f32.next_down()), Some(Mined { from: 2, level: Engagement, cosine: 0.5 }));
    }

    #[test]
    fn conversations_never_mix_even_under_one_id() {
        let (first, second) = (turns(&[NORTH]), turns(&[NORTH, NORTH]));
        let neutral = judged(&first, &[Neutral]);
        let positive = judged(&second, &[Correction, Satisfaction]);
        assert_eq!(first[0].conversation.id, second[0].conversation.id);
        assert_eq!(taken(&[&neutral[..], &positive].concat()), [None; 3]);
    }

    #[test]
    fn the_public_code_gives_one_level() {
        let turns = turns(&[NORTH, NORTH]);
        let judged = judged(&turns, &[Neutral, Satisfaction]);
        let mined = pollster::block_on(miner(0.5, MinedLevel::Fixed(Engagement)).mine(&judged)).unwrap();
        assert_eq!(mined[0], Some(Mined { from: 2, level: Engagement, cosine: 1.0 }));
    }

    #[test]
    fn a_window_is_embedded_in_one_go_and_each_text_once() {
        let (first, second) = (turns(&[NORTH, EAST, NORTH, EAST]), turns(&[EAST, HALF]));
        let mut window = judged(&first, &[Neutral, Engagement, Satisfaction, Neutral]);
        window.extend(judged(&second, &[Neutral, Satisfaction]));
        window[4].refusal = true;
        let mut miner = miner(0.4, MinedLevel::Future);
        pollster::block_on(miner.mine(&window)).unwrap();
        assert_eq!(miner.embeddings.embedder().asked, [[NORTH, EAST]]);
        let counts = miner.counts();
        assert_eq!((counts.candidates, counts.refusals, counts.mined), (2, 1, 1));
        assert_eq!((counts.cosines[10], counts.cosines[19], counts.cosines.iter().sum::<u64>()), (1, 1, 2));
        assert_eq!((counts.embedded, counts.cached), (2, 0));
    }

    #[test]
    fn every_cosine_has_a_bin() {
        assert_eq!([-1.0, -0.95, 0.0, 0.55, 0.999, 1.0, 1.000_001].map(bin), [0, 0, 10, 15, 19, 19, 19]);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
    }
}
