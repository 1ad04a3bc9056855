//! Writes that take effect together.

/// Writes that take effect together: a value, or none to remove the key. Of several with one key the last counts.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Writes that take effect together, and how large they are.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) writes: Writes,
    bytes: usize,
}

impl Batch {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.writes.push((key.to_vec(), Some(value.to_vec())));
    }

    pub fn remove(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.writes.push((key.to_vec(), None));
    }
}
