//! The host runtime: tensors and dispatches, nothing of transformers.
