//! Reads governed tables: sources, masks, encodings. The only package that names the query engine.
//!
//! A row goes: source → row filter → mask → **barrier** → the caller's own query → encoding. Raw values exist only between
//! [`source`] and the leaf that [`masked`] makes of it; everything the query engine plans or optimises sits above that leaf
//! and has no way to look below.

pub mod detect;
pub mod encode;
pub mod mask;
pub mod sample;

mod budget;
mod engine;
mod masked;
mod plan;
mod pushdown;
mod source;
mod sql;

#[cfg(test)]
mod tests;

pub use engine::{Engine, Settings};
