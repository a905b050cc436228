//! Whether an environment is still the same, without showing what stands in it.

use super::layer::Layer;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// How many bytes of it are told: enough to tell the environments of one daemon from each other.
const TOLD: usize = 6;

/// Of layers that were read: the files' texts, comments included, and the variables.
pub fn of(layers: &[Layer]) -> String {
    let mut sum = Sha256::new();
    for layer in layers {
        match &layer.text {
            Some(text) => take(&mut sum, text.as_bytes()),
            None => {
                take(&mut sum, layer.name.as_bytes());
                take(&mut sum, format!("{:?}", layer.tree).as_bytes());
            }
        }
    }
    told(sum)
}

/// Of files as they lie there, whether they can be read or not.
pub fn glance(paths: &[PathBuf]) -> String {
    let mut sum = Sha256::new();
    for path in paths {
        match std::fs::read(path) {
            Ok(bytes) => take(&mut sum, &bytes),
            Err(error) => take(&mut sum, format!("{:?}", error.kind()).as_bytes()),
        }
    }
    told(sum)
}

/// With its length, so that what stands at the end of one text cannot stand at the start of the next.
fn take(sum: &mut Sha256, bytes: &[u8]) {
    sum.update(bytes.len().to_be_bytes());
    sum.update(bytes);
}

fn told(sum: Sha256) -> String {
    sum.finalize().iter().take(TOLD).map(|byte| format!("{byte:02x}")).collect()
}
