//! GGUF files built in memory, byte for byte, so that tests can also write what no converter would.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part

pub mod bert;
pub mod folder;
pub mod reference;

/// A GGUF under construction.
#[derive(Clone)]
pub struct Builder {
    pub version: u32,
    /// What the header claims, when not the truth.
    pub claimed_entries: Option<u64>,
    pub claimed_tensors: Option<u64>,
    pub alignment: usize,
    pub entries: Vec<u8>,
    pub entry_count: u64,
    pub tensors: Vec<u8>,
    pub tensor_count: u64,
    pub data: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: 3,
            claimed_entries: None,
            claimed_tensors: None,
            alignment: 32,
            entries: vec![],
            entry_count: 0,
            tensors: vec![],
            tensor_count: 0,
            data: vec![],
        }
    }
}

pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

impl Builder {
    /// A metadata entry of value type `ty` with the value's bytes as they are.
    pub fn entry(mut self, key: &str, ty: u32, value: &[u8]) -> Self {
        self.entries.extend(string(key));
        self.entries.extend(ty.to_le_bytes());
        self.entries.extend(value);
        self.entry_count += 1;
        self
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.entry(key, 4, &value.to_le_bytes())
    }

    pub fn f32(self, key: &str, value: f32) -> Self {
        self.entry(key, 6, &value.to_le_bytes())
    }

    pub fn str(self, key: &str, value: &str) -> Self {
        self.entry(key, 8, &string(value))
    }

    /// An array of `len` elements of type `ty`, given by their bytes.
    pub fn array(self, key: &str, ty: u32, len: u64, elements: &[u8]) -> Self {
        self.entry(key, 9, &[&ty.to_le_bytes(), &len.to_le_bytes()[..], elements].concat())
    }

    pub fn strings(self, key: &str, values: &[&str]) -> Self {
        let elements: Vec<u8> = values.iter().flat_map(string).collect();
        self.array(key, 8, values.len() as u64, &elements)
    }

    /// A tensor entry whose fields may be lies.
    pub fn raw_tensor(mut self, name: &str, dimensions: &[u64], ty: u32, offset: u64) -> Self {
        self.tensors.extend(string(name));
        self.tensors.extend((dimensions.len() as u32).to_le_bytes());
        for d in dimensions {
            self.tensors.extend(d.to_le_bytes());
        }
        self.tensors.extend(ty.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self.tensor_count += 1;
        self
    }

    /// Bytes of the data section, for tensors written with [`Self::raw_tensor`].
    pub fn data(mut self, bytes: &[u8]) -> Self {
        self.data.extend(bytes);
        self
    }

    /// A tensor with its data.
    pub fn tensor(mut self, name: &str, dimensions: &[u64], ty: u32, bytes: &[u8]) -> Self {
        let padded = self.data.len().next_multiple_of(self.alignment);
        self.data.resize(padded, 0);
        self.data.extend(bytes);
        self.raw_tensor(name, dimensions, ty, padded as u64)
    }

    /// An f32 tensor.
    pub fn f32s(self, name: &str, dimensions: &[u64], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, dimensions, 0, &bytes)
    }

    pub fn build(self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend(self.claimed_tensors.unwrap_or(self.tensor_count).to_le_bytes());
        file.extend(self.claimed_entries.unwrap_or(self.entry_count).to_le_bytes());
        file.extend(&self.entries);
        file.extend(&self.tensors);
        file.resize(file.len().next_multiple_of(self.alignment), 0);
        file.extend(&self.data);
        file
    }
}

/// A fixed sequence of pseudo-random numbers (splitmix64): a failure is found again.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Roughly normal, mean 0 and deviation 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }
}

/// The network of a model that continues sequences.
pub fn decoder(model: &hearth_models::Model) -> &dyn hearth_models::arch::Network {
    match &model.network {
        hearth_models::arch::AnyNetwork::Decoder(network) => network.as_ref(),
        hearth_models::arch::AnyNetwork::Encoder(_) => panic!("the model embeds"),
    }
}
