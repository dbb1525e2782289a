//! Stand-ins with the names of library functions that are being written. Delete this file and name the library's in
//! demo.rs instead: `wgr::data::synthetic`, `wgr::evaluate::metrics`, `wgr::report::{chart, html}` and
//! `wgr::report::metrics` for `report`.

pub mod synthetic {
    use serde_json::Value;

    pub fn chats(_: usize, _: u64) -> Vec<Value> {
        vec![]
    }

    pub struct Tokenizer;

    impl Tokenizer {
        pub fn save(
            &self,
            _: impl AsRef<std::path::Path>,
            _: bool,
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Err("this build cannot make a tokenizer yet".into())
        }

        pub fn get_vocab_size(&self, _: bool) -> usize {
            0
        }
    }

    pub fn tokenizer<'a>(_: impl Iterator<Item = &'a str> + Send) -> wgr::Result<Tokenizer> {
        Ok(Tokenizer)
    }
}

pub mod metrics {
    pub fn is_positive(label: u32, levels: u32) -> bool {
        label + 2 > levels
    }

    pub fn roc_auc(_: &[f64], _: &[bool]) -> Option<f64> {
        None
    }
}

pub mod report {
    use serde_json::{Map, Value};

    pub fn read(_: &std::path::Path) -> wgr::Result<Vec<Map<String, Value>>> {
        Ok(vec![])
    }
}

pub mod chart {
    pub fn loss_chart(_: &[(f64, f64)], _: &[(f64, f64)]) -> wgr::Result<String> {
        Ok(String::new())
    }
}

pub mod html {
    pub struct Page;

    impl Page {
        pub fn new(_: impl Into<String>) -> Self {
            Self
        }

        pub fn section(&mut self, _: &str) -> &mut Self {
            self
        }

        pub fn paragraph(&mut self, _: &str) -> &mut Self {
            self
        }

        pub fn svg(&mut self, _: &str, _: &str) -> &mut Self {
            self
        }

        pub fn conversation(&mut self, _: &str, _: &[(&str, &str)]) -> &mut Self {
            self
        }

        pub fn write(&self, _: &std::path::Path) -> wgr::Result<()> {
            Ok(())
        }
    }
}
