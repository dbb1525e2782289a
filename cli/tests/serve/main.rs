//! `wgr serve` as its clients meet it: the binary, a tiny model, and requests over loopback. These tests need an adapter.

mod ending;
mod equality;
mod faults;
mod generation;
mod harness;
mod online;
mod reloading;
mod routes;
mod safety;
