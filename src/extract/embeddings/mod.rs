//! Embeddings of texts: how they are computed ([`Embedder`]) and where they are kept ([`Cache`]).

mod cache;
mod embedder;

use twox_hash::XxHash3_128;

use crate::Result;

pub use cache::Cache;
pub use embedder::Embedder;

/// Texts computed before their vectors are kept: a killed run loses at most the work of these.
const CHUNK: usize = 1024;

/// Turns texts into vectors.
pub trait Embed {
    /// Differs between embedders that may give a text different vectors.
    fn identity(&self) -> u128;

    /// One vector per text, in order, all of the same length. A vector does not depend on the texts beside it, except
    /// for rounding.
    fn embed(&mut self, texts: &[&str]) -> impl Future<Output = Result<Vec<Vec<f32>>>>;
}

/// An embedder that may remember what it computed.
#[derive(Debug)]
pub struct Embeddings<E> {
    embedder: E,
    cache: Option<Cache>,
    embedded: u64,
    cached: u64,
}

impl<E: Embed> Embeddings<E> {
    /// The vectors of `embedder`, looked up in `cache` first if there is one.
    pub fn new(embedder: E, cache: Option<Cache>) -> Self {
        Self { embedder, cache, embedded: 0, cached: 0 }
    }

    /// One vector a text, in order. Vectors that were computed are in the cache when this returns, and most of them
    /// when it fails.
    ///
    /// # Errors
    /// The embedder fails, or the cache cannot be read or written.
    pub async fn of(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let keys: Vec<u128> = texts.iter().map(|text| self.key(text)).collect();
        let mut vectors = vec![vec![]; texts.len()];
        let mut missing = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            match self.cache.as_mut().map(|cache| cache.get(*key)).transpose()?.flatten() {
                Some(vector) => vectors[index] = vector,
                None => missing.push(index),
            }
        }
        self.cached += (texts.len() - missing.len()) as u64;
        for chunk in missing.chunks(CHUNK) {
            let computed = self.embedder.embed(&chunk.iter().map(|index| texts[*index]).collect::<Vec<_>>()).await?;
            if let Some(cache) = &mut self.cache {
                let rows = chunk.iter().zip(&computed).map(|(index, vector)| (keys[*index], &vector[..]));
                cache.append(rows)?;
            }
            self.embedded += chunk.len() as u64;
            for (index, vector) in chunk.iter().zip(computed) {
                vectors[*index] = vector;
            }
        }
        Ok(vectors)
    }

    /// Texts whose vectors were computed.
    pub fn embedded(&self) -> u64 {
        self.embedded
    }

    /// Texts whose vectors were in the cache.
    pub fn cached(&self) -> u64 {
        self.cached
    }

    #[cfg(test)]
    pub(super) fn embedder(&self) -> &E {
        &self.embedder
    }

    fn key(&self, text: &str) -> u128 {
        XxHash3_128::oneshot(&[&self.embedder.identity().to_le_bytes(), text.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts letters, and what it was asked for.
    struct Letters {
        identity: u128,
        asked: Vec<String>,
    }

    impl Embed for Letters {
        fn identity(&self) -> u128 {
            self.identity
        }

        async fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            self.asked.extend(texts.iter().map(|text| (*text).to_owned()));
            Ok(texts.iter().map(|text| vec![text.len() as f32, 0.1]).collect())
        }
    }

    #[test]
    fn what_the_cache_holds_is_not_computed_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("embeddings.cache");
        let open = |identity| Embeddings::new(Letters { identity, asked: vec![] }, Some(Cache::open(&path).unwrap()));
        let mut first = open(1);
        let vectors = pollster::block_on(first.of(&["a", "bb"])).unwrap();
        assert_eq!(vectors, [[1.0, 0.1], [2.0, 0.1]]);
        let mut again = open(1);
        assert_eq!(pollster::block_on(again.of(&["ccc", "bb", ""])).unwrap(), [[3.0, 0.1], [2.0, 0.1], [0.0, 0.1]]);
        assert_eq!(again.embedder.asked, ["ccc", ""]);
        assert_eq!((again.embedded(), again.cached()), (2, 1));
        // Another model's vectors are not its own.
        let mut other = open(2);
        pollster::block_on(other.of(&["a"])).unwrap();
        assert_eq!(other.embedder.asked, ["a"]);
    }

    #[test]
    fn without_a_cache_everything_is_computed() {
        let mut plain = Embeddings::new(Letters { identity: 1, asked: vec![] }, None);
        for _ in 0..2 {
            pollster::block_on(plain.of(&["a"])).unwrap();
        }
        assert_eq!((plain.embedded(), plain.cached()), (2, 0));
    }
}
