//! Speaks: the HTTP API, configuration, secrets, keys on disk, the commands around a broker. Decides nothing: that is
//! `chunk-core`; reads nothing: that is the scanner handed in by the program.
//!
//! Start reading at [`serve::serve`].

pub mod args;
pub mod commands;
pub mod config;
mod connections;
mod data_dir;
pub mod dev;
pub mod error;
pub mod http;
mod listener;
mod mirror;
mod notify;
mod outbound;
mod places;
pub mod ports;
pub mod process;
mod recordings;
mod reload;
pub mod secrets;
pub mod serve;
mod sinks;
pub mod telemetry;
mod timestamps;
mod witness;
