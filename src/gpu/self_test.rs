//! What must agree before a fast path is trusted.
