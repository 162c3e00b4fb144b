//! What the program hands to this library: everything that touches the world and is not HTTP, files or keys.

use std::sync::Arc;

use chunk_core::clock::Clock;
use chunk_port::{Scanner, Secrets};

/// Makes the scanner from the credentials it may ask for.
pub type ScannerFactory = Arc<dyn Fn(Arc<dyn Secrets>) -> Result<Arc<dyn Scanner>, String> + Send + Sync>;

/// The ports of the program.
#[derive(Clone)]
pub struct Ports {
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Reader of data.
    pub scanner: ScannerFactory,
}
