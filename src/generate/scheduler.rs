//! Which tokens the next step computes: continuous batching.
//!
//! Every running sequence whose prompt is done takes part in every step with one token. The remaining room goes to
//! prompts, in pieces if they are long. A sequence that ends makes room at once. Pages for its maximum length are
//! reserved when a sequence starts, so none is ever preempted.
//!
//! Completions of one prompt share its pages: the first computes it, the others start after that, and compute only its
//! last tokens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::kernels::cached_attention::PAGE;

use super::pages::Pages;

/// The prompt to complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its tokens; never empty. Neighbours with equal prompts share the work for them.
    pub prompt: Arc<[u32]>,
    /// Decides every draw of this completion, whatever runs beside it.
    pub seed: u64,
}

/// Largest step and longest sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Sequences that run at once.
    pub sequences: usize,
    /// Tokens of a step, at least as many as sequences.
    pub tokens: usize,
    /// Tokens of a sequence, prompt included.
    pub length: usize,
    /// Pages of the cache, at least as many as the longest sequence needs.
    pub pages: usize,
}

impl Capacity {
    /// Pages of the longest sequence.
    pub fn pages_a_sequence(&self) -> usize {
        self.length.div_ceil(PAGE)
    }
}

/// The tokens of a step, packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Places of the tokens in their sequences.
    pub positions: Vec<u32>,
    /// Rows of the cache they go to.
    pub rows: Vec<u32>,
    /// For each token: the start of its sequence's pages in `table`, and the number of keys it sees.
    pub seen: Vec<u32>,
    /// Pages of the sequences.
    pub table: Vec<u32>,
    /// One past each token after which one is to be drawn.
    pub ends: Vec<u32>,
    /// The request of each of these.
    pub drawing: Vec<usize>,
}

/// A sequence with pages of its own.
#[derive(Debug)]
struct Running {
    request: usize,
    group: usize,
    /// Prompt and what was drawn so far.
    tokens: Vec<u32>,
    prompt: usize,
    /// Tokens whose keys and values are in the cache.
    cached: usize,
    pages: Vec<u32>,
}

/// A request that has no pages yet.
#[derive(Debug)]
struct Waiting {
    request: usize,
    new_tokens: usize,
    group: usize,
}

/// Neighbouring requests with one prompt, as long as one of them waits.
#[derive(Debug)]
struct Group {
    prompt: Arc<[u32]>,
    /// Requests that wait.
    waiting: usize,
    /// Whether one computes the prompt for the others.
    leads: bool,
    /// Pages full of the prompt, held until all requests have started.
    pages: Option<Vec<u32>>,
}

/// Requests on their way through the steps.
#[derive(Debug)]
pub struct Scheduler {
    capacity: Capacity,
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    pages: Pages,
    groups: BTreeMap<usize, Group>,
    /// Requests added so far, which numbers them and their groups.
    added: usize,
    /// The group of the last request.
    last: usize,
}

impl Scheduler {
    /// Nothing waits and nothing runs.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            waiting: VecDeque::new(),
            running: vec![],
            pages: Pages::new(capacity.pages),
            groups: BTreeMap::new(),
            added: 0,
            last: 0,
        }
    }

    /// Lets a request wait for its steps, and returns its number, which counts from 0. Its prompt is shorter than the longest
    /// sequence; it ends there if it has not ended before.
    pub fn add(&mut self, prompt: Arc<[u32]>, new_tokens: usize) -> usize {
        let request = self.added;
        self.added += 1;
        match self.groups.get_mut(&self.last) {
            Some(group) if group.prompt == prompt => group.waiting += 1,
            _ => {
                self.last = request;
                self.groups.insert(request, Group { prompt, waiting: 1, leads: false, pages: None });
            }
        }
        self.waiting.push_back(Waiting { request, new_tokens, group: self.last });
        request
    }

    /// Takes a request out, whether it runs or waits.
    pub fn remove(&mut self, request: usize) {
        if let Some(at) = self.running.iter().position(|running| running.request == request) {
            // Removed in order, so that steps stay alike.
            let running = self.running.remove(at);
            self.pages.release(&running.pages);
            if running.cached < running.prompt
                && let Some(group) = self.groups.get_mut(&running.group)
            {
                // If it was the one to compute the prompt for the others, the next of them is.
                group.leads = false;
            }
        } else if let Some(at) = self.waiting.iter().position(|waiting| waiting.request == request) {
            let group = self.waiting[at].group;
            self.waiting.remove(at);
            self.leaves(group);
        }
    }

    /// Whether no request waits or runs.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Tokens of a running request: its prompt and what was drawn.
    pub fn tokens(&self, request: usize) -> &[u32] {
        self.running.iter().find(|running| running.request == request).map_or(&[], |running| &running.tokens)
    }

    /// The next step; `None` if no request can take part in one.
    pub fn step(&mut self) -> Option<Step> {
        self.admit();
        let mut step = Step::default();
        // Those that decode come first: what is left of the step is for prompts.
        let decoding = self.running.iter().filter(|running| running.cached >= running.prompt).count();
        let mut room = self.capacity.tokens - decoding;
        for running in &mut self.running {
            let missing = running.tokens.len() - running.cached;
            let count = match running.cached >= running.prompt {
                true => missing,
                false => missing.min(room),
            };
            if running.cached < running.prompt {
                room -= count;
            }
            if count > 0 {
                running.add_to(&mut step, count);
            }
        }
        for running in &self.running {
            if let Some(group) = self.groups.get_mut(&running.group)
                && group.leads
                && running.cached >= running.prompt
            {
                group.leads = false;
                let full = running.pages[..shareable(running.prompt)].to_vec();
                self.pages.share(&full);
                group.pages = Some(full);
            }
        }
        (!step.ids.is_empty()).then_some(step)
    }

    /// Records the token sampled for a request; `ends` frees its place.
    pub fn drawn(&mut self, request: usize, token: u32, ends: bool) {
        if ends {
            return self.remove(request);
        }
        if let Some(running) = self.running.iter_mut().find(|running| running.request == request) {
            running.tokens.push(token);
        }
    }

    /// Starts requests while there is room, in their order, but past those that wait for the first of their prompt.
    fn admit(&mut self) {
        let mut at = 0;
        while self.running.len() < self.capacity.sequences && at < self.waiting.len() {
            if self.group(at).leads {
                at += 1;
            } else if !self.start(at) {
                break;
            }
        }
        // Pages that are held for others are given up where they are all that is left.
        if self.running.is_empty() && !self.waiting.is_empty() {
            for group in self.groups.values_mut() {
                if let Some(pages) = group.pages.take() {
                    self.pages.release(&pages);
                }
            }
            self.start(0);
        }
    }

    /// The group of the request that waits at a place.
    fn group(&self, at: usize) -> &Group {
        self.groups.get(&self.waiting[at].group).expect("a group is there as long as one of its requests waits")
    }

    /// Gives the request that waits at a place its pages; false where they are not free.
    fn start(&mut self, at: usize) -> bool {
        let Waiting { request, new_tokens, group: of } = self.waiting[at];
        let group = self.group(at);
        let prompt = group.prompt.clone();
        let shared = group.pages.clone().unwrap_or_default();
        let needed = (prompt.len() + new_tokens).min(self.capacity.length).div_ceil(PAGE);
        let Some(own) = self.pages.take(needed - shared.len()) else { return false };
        self.pages.share(&shared);
        self.waiting.remove(at);
        self.running.push(Running {
            request,
            group: of,
            tokens: prompt.to_vec(),
            prompt: prompt.len(),
            cached: shared.len() * PAGE,
            pages: [shared, own].concat(),
        });
        self.leaves(of);
        if let Some(group) = self.groups.get_mut(&of) {
            group.leads = group.pages.is_none() && shareable(prompt.len()) > 0;
        }
        true
    }

    /// One request of a group waits no longer; with the last of them the group goes.
    fn leaves(&mut self, of: usize) {
        if let Some(group) = self.groups.get_mut(&of) {
            group.waiting -= 1;
            if group.waiting == 0
                && let Some(Group { pages: Some(pages), .. }) = self.groups.remove(&of)
            {
                self.pages.release(&pages);
            }
        }
    }
}

/// Pages of a prompt that others can use: full ones, without the last token, whose logits everyone computes.
fn shareable(prompt: usize) -> usize {
    (prompt - 1) / PAGE
}

impl Running {
    /// Adds the next `count` tokens.
    fn add_to(&mut self, step: &mut Step, count: usize) {
        let first = step.table.len();
        step.table.extend(&self.pages);
        for position in self.cached..self.cached + count {
            step.ids.push(self.tokens[position]);
            step.positions.push(position as u32);
            step.rows.push(self.pages[position / PAGE] * PAGE as u32 + (position % PAGE) as u32);
            step.seen.extend([first as u32, position as u32 + 1]);
        }
        self.cached += count;
        if self.cached == self.tokens.len() {
            step.ends.push(step.ids.len() as u32);
            step.drawing.push(self.request);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn request(length: usize, kind: u32) -> Request {
        Request { prompt: (0..length as u32).map(|i| kind * 1000 + i).collect(), seed: 0 }
    }

    /// Runs all requests to their ends, `lengths` new tokens each, with a cache that remembers what was written. Returns the
    /// number of tokens computed and of steps.
    fn run(capacity: Capacity, requests: &[Request], lengths: &[usize]) -> (usize, usize) {
        let new_tokens = *lengths.iter().max().unwrap();
        let mut scheduler = Scheduler::new(capacity);
        for request in requests {
            scheduler.add(request.prompt.clone(), new_tokens);
        }
        let mut cache: HashMap<u32, (u32, u32)> = HashMap::new();
        let mut drawn = vec![0; requests.len()];
        let (mut computed, mut steps) = (0, 0);
        while let Some(step) = scheduler.step() {
            assert!(step.ids.len() <= capacity.tokens && step.ends.len() <= capacity.sequences);
            let written = step.rows.iter().zip(step.positions.iter().zip(&step.ids));
            cache.extend(written.map(|(row, (position, id))| (*row, (*position, *id))));
            for (end, request) in step.ends.iter().zip(&step.drawing) {
                // All that the token sees is the sequence, in its order.
                let [first, keys] = step.seen[*end as usize * 2 - 2..][..2] else { unreachable!() };
                let expected = scheduler.tokens(*request).to_vec();
                assert_eq!(keys as usize, expected.len());
                for (position, id) in expected.into_iter().enumerate() {
                    let row = step.table[first as usize + position / PAGE] * PAGE as u32 + (position % PAGE) as u32;
                    assert_eq!(cache[&row], (position as u32, id), "request {request}");
                }
            }
            for request in step.drawing {
                drawn[request] += 1;
                let token = 500_000 + request as u32 * 1000 + drawn[request] as u32;
                scheduler.drawn(request, token, drawn[request] == lengths[request]);
            }
            computed += step.ids.len();
            steps += 1;
        }
        assert_eq!(drawn, lengths);
        assert!(scheduler.is_idle() && scheduler.groups.is_empty());
        assert_eq!(scheduler.pages.free(), capacity.pages, "every page comes back");
        (computed, steps)
    }

    #[test]
    fn mixed_lengths_run_to_their_ends_in_little_room() {
        let lengths = [5, 1, 17, 3, 9, 2];
        let requests: Vec<Request> =
            [7, 40, 1, 16, 17, 33].into_iter().zip(0..).map(|(length, kind)| request(length, kind)).collect();
        let total: usize = requests.iter().map(|request| request.prompt.len()).sum::<usize>()
            + lengths.iter().map(|length| length - 1).sum::<usize>();
        for (sequences, tokens, pages) in [(1, 1, 4), (3, 8, 4), (3, 8, 9), (6, 64, 100)] {
            let capacity = Capacity { sequences, tokens, length: 64, pages };
            assert_eq!(run(capacity, &requests, &lengths).0, total, "{capacity:?}");
        }
    }

    #[test]
    fn a_finished_sequence_makes_room_at_once() {
        let requests: Vec<Request> = (0..8).map(|kind| request(4, kind)).collect();
        let capacity = Capacity { sequences: 2, tokens: 8, length: 32, pages: 4 };
        // 18 + 14 tokens over two places; waiting for the longer of each pair would take 32 steps.
        assert_eq!(run(capacity, &requests, &[14, 2, 2, 2, 2, 2, 2, 2]).1, 14);
    }

    #[test]
    fn completions_of_one_prompt_compute_it_once() {
        let requests: Vec<Request> = (0..8).map(|i| request(50, i / 4)).collect();
        let lengths = [3; 8];
        let capacity = Capacity { sequences: 8, tokens: 64, length: 64, pages: 32 };
        // 48 tokens of 50 are in full pages.
        assert_eq!(run(capacity, &requests, &lengths).0, 2 * (50 + 3 * 2) + 8 * 2);
        // So little room that shared pages are all there is: they are given up rather than waited for.
        for pages in [4, 5, 6, 7] {
            run(Capacity { sequences: 8, tokens: 16, length: 64, pages }, &requests, &lengths);
        }
    }

    #[test]
    fn a_prompt_that_fills_its_pages_still_has_a_token_to_compute() {
        let requests: Vec<Request> = (0..3).map(|_| request(32, 0)).collect();
        let capacity = Capacity { sequences: 3, tokens: 40, length: 40, pages: 9 };
        // The second page holds the last token of the prompt, so one page is shared.
        assert_eq!(run(capacity, &requests, &[2; 3]).0, 32 + 2 * 16 + 3);
    }

    #[test]
    fn requests_come_and_go_between_steps() {
        let capacity = Capacity { sequences: 2, tokens: 40, length: 64, pages: 12 };
        let mut scheduler = Scheduler::new(capacity);
        let add = |scheduler: &mut Scheduler, kind| scheduler.add(request(50, kind).prompt, 10);
        let first = add(&mut scheduler, 0);
        assert_eq!(scheduler.step().unwrap().ids.len(), 40, "the beginning of the only prompt");
        let [second, third, fourth] = [1, 1, 1].map(|kind| add(&mut scheduler, kind));
        let step = scheduler.step().unwrap();
        assert_eq!((step.drawing, step.ids.len()), (vec![first], 40), "the rest of it, and the next one's beginning");
        // The one that computes the prompt of the other two goes, and one that waits; the last one computes it itself.
        scheduler.remove(second);
        scheduler.remove(fourth);
        assert_eq!(scheduler.waiting.len(), 1);
        scheduler.drawn(first, 7, true);
        assert_eq!(scheduler.step().unwrap().ids[0], 1000);
        assert_eq!(scheduler.step().unwrap().drawing, [third]);
        assert_eq!(scheduler.pages.free(), 12 - 4);
        scheduler.remove(third);
        scheduler.remove(third);
        assert_eq!((scheduler.pages.free(), scheduler.step(), scheduler.is_idle()), (12, None, true));
    }

    #[test]
    fn pages_held_for_requests_that_wait_are_free_when_those_have_gone() {
        let capacity = Capacity { sequences: 2, tokens: 64, length: 64, pages: 6 };
        let mut scheduler = Scheduler::new(capacity);
        let [first, second] = [0, 0].map(|kind| scheduler.add(request(50, kind).prompt, 14));
        scheduler.step();
        scheduler.drawn(first, 7, true);
        assert_eq!(scheduler.pages.free(), 3, "three are held for the second");
        scheduler.remove(second);
        assert_eq!((scheduler.pages.free(), scheduler.is_idle()), (6, true));
    }
}
