//! What a run leaves behind for people: metrics, charts, cards.
