//! Metadata written as GGUF has them: for models that come as something else and are read as if they were GGUF.

use super::header;

/// Metadata under construction.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    entries: Vec<u8>,
    count: u64,
}

impl Metadata {
    /// The numbers are GGUF's of value types.
    fn entry(&mut self, key: &str, ty: u32, value: &[u8]) {
        self.string(key);
        self.entries.extend(ty.to_le_bytes());
        self.entries.extend(value);
        self.count += 1;
    }

    fn string(&mut self, text: &str) {
        self.entries.extend((text.len() as u64).to_le_bytes());
        self.entries.extend(text.as_bytes());
    }

    pub(crate) fn u32(&mut self, key: &str, value: u32) {
        self.entry(key, 4, &value.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, key: &str, value: f32) {
        self.entry(key, 6, &value.to_le_bytes());
    }

    pub(crate) fn bool(&mut self, key: &str, value: bool) {
        self.entry(key, 7, &[u8::from(value)]);
    }

    pub(crate) fn str(&mut self, key: &str, value: &str) {
        self.entry(key, 8, &[]);
        self.string(value);
    }

    /// An array.
    pub(crate) fn bools(&mut self, key: &str, values: &[bool]) {
        self.entry(key, 9, &7_u32.to_le_bytes());
        self.entries.extend((values.len() as u64).to_le_bytes());
        self.entries.extend(values.iter().map(|&value| u8::from(value)));
    }

    /// A file without tensors.
    pub(crate) fn build(self) -> Vec<u8> {
        let mut file = header::MAGIC.to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend(self.count.to_le_bytes());
        file.extend(self.entries);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Gguf;

    #[test]
    fn what_is_written_is_read() {
        let mut metadata = Metadata::default();
        metadata.u32("u32", 7);
        metadata.f32("f32", -2.5);
        metadata.bool("bool", true);
        metadata.str("str", "żółw");
        metadata.bools("bools", &[true, false]);
        let file = metadata.build();
        let gguf = Gguf::parse(&file).unwrap();
        assert_eq!((gguf.get_u32("u32").unwrap(), gguf.get_f32("f32").unwrap(), gguf.get_bool("bool").unwrap()), (7, -2.5, true));
        assert_eq!((gguf.get_str("str").unwrap(), gguf.get_array_bool("bools").unwrap()), ("żółw", vec![true, false]));
        assert_eq!((gguf.metadata.len(), gguf.tensors.len()), (5, 0));
    }
}
