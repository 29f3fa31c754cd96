//! The tensors: what each is made of, and the making.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use hearth_kernels::WeightType;

use super::{
    FolderError, Quantization,
    families::{Change, Family, Place},
    files::Weights,
};
use crate::safetensors;

/// A tensor as GGUF has it.
#[derive(Debug)]
pub(super) struct Tensor {
    /// The contiguous dimension (columns) first.
    pub(super) dimensions: Vec<u64>,
    /// The type that it is made in.
    pub(super) ty: WeightType,
    make: Make,
}

/// What a tensor is made of.
#[derive(Debug)]
enum Make {
    /// Numbers of the configuration.
    Values(Vec<f32>),
    /// Tensors of the files, all of one type and shape, one after another.
    Parts { parts: Vec<Part>, ty: WeightType, step: Step },
}

/// Where in which file.
#[derive(Debug, Clone)]
struct Part {
    file: usize,
    info: safetensors::TensorInfo,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    None,
    /// Rows of this many heads are put in the order of interleaved RoPE.
    Interleave {
        heads: usize,
    },
    PlusOne,
}

impl Tensor {
    /// Bytes that it takes.
    pub(super) fn len(&self) -> usize {
        let elements = self.dimensions.iter().product::<u64>() as usize;
        self.ty.bytes_of(elements).expect("rows of whole blocks: `Plan::whole`")
    }

    /// Makes it.
    pub(super) fn bytes<'w>(&self, weights: &'w Weights) -> Cow<'w, [u8]> {
        let (parts, ty, step) = match &self.make {
            Make::Values(values) => return values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into(),
            Make::Parts { parts, ty, step } => (parts, *ty, *step),
        };
        let bytes = match &parts[..] {
            [part] => Cow::Borrowed(weights.bytes(part.file, &part.info)),
            parts => parts.iter().flat_map(|part| weights.bytes(part.file, &part.info)).copied().collect::<Vec<u8>>().into(),
        };
        let bytes = match step {
            Step::None => bytes,
            Step::Interleave { heads } => interleave(&bytes, self.dimensions[self.dimensions.len() - 1] as usize, heads).into(),
            Step::PlusOne => {
                let mut values = vec![0.0; bytes.len() / ty.block_bytes()];
                ty.dequantize(&bytes, &mut values);
                values.iter().flat_map(|v| (v + 1.0).to_le_bytes()).collect::<Vec<u8>>().into()
            }
        };
        match matches!(step, Step::PlusOne) || ty == self.ty {
            true => bytes,
            false => ty.convert(&bytes, self.ty, self.dimensions[0] as usize).into(),
        }
    }
}

/// Puts the rows of each head in the order in which RoPE rotates neighbours: row `i` of the first half, row `i` of the second, and so on. A bias has rows of one element.
fn interleave(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let (row, half) = (bytes.len() / rows, rows / heads / 2);
    let mut out = Vec::with_capacity(bytes.len());
    for head in bytes.chunks_exact(2 * half * row) {
        let (first, second) = head.split_at(half * row);
        for (a, b) in first.chunks_exact(row).zip(second.chunks_exact(row)) {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
    }
    out
}

/// What the tensors follow from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) folder: &'a Path,
    pub(super) family: &'a Family,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Experts of a layer; 0 where there are none.
    pub(super) experts: usize,
    pub(super) tied: Option<bool>,
    pub(super) quantize: Option<Quantization>,
}

impl Plan<'_> {
    /// The tensors that `weights` and the values of the configuration make, by GGUF's names.
    pub(super) fn tensors(&self, weights: &Weights, extra: Vec<(&'static str, Vec<f32>)>) -> Result<BTreeMap<String, Tensor>, FolderError> {
        let mut tensors = BTreeMap::new();
        let mut experts: BTreeMap<String, BTreeMap<usize, (&str, Part)>> = BTreeMap::new();
        for (theirs, (file, info)) in &weights.tensors {
            let wrong = |problem: String| FolderError::tensor(self.folder, theirs, problem);
            let part = Part { file: *file, info: info.clone() };
            match self.family.place(theirs) {
                Place::Ignored => {}
                Place::Unknown => return Err(wrong(format!("is not a part of `{}` as supported here", self.family.architecture))),
                // The embedding once more: training frameworks write it although it is shared.
                Place::Tensor { name, .. } if name == "output.weight" && self.tied == Some(true) => {}
                Place::Tensor { name, expert: Some(expert), .. } => {
                    if expert >= self.experts {
                        return Err(wrong(format!("is of expert {expert}, but config.json has {} experts", self.experts)));
                    }
                    experts.entry(name).or_default().insert(expert, (theirs.as_str(), part));
                }
                Place::Tensor { name, change, expert: None } => {
                    let tensor = self.whole(theirs, &name, vec![part], change)?;
                    if tensors.insert(name, tensor).is_some() {
                        return Err(wrong("stands in the files twice, by an older and a younger name".into()));
                    }
                }
            }
        }
        for (name, stack) in experts {
            let missing = (0..self.experts).find(|expert| !stack.contains_key(expert));
            let parts: Vec<(&str, Part)> = stack.into_values().collect();
            let (first, shape) = (parts[0].0, &parts[0].1.info);
            if let Some(missing) = missing {
                let problem = format!("the same of expert {missing} is missing: download the folder again");
                return Err(FolderError::tensor(self.folder, first, problem));
            }
            if let Some((other, part)) = parts.iter().find(|(_, part)| (part.info.dtype, &part.info.shape) != (shape.dtype, &shape.shape)) {
                let problem = format!(
                    "is {:?} of {}, but that of expert 0 is {:?} of {}",
                    part.info.shape, part.info.dtype, shape.shape, shape.dtype
                );
                return Err(FolderError::tensor(self.folder, other, problem));
            }
            let parts = parts.iter().map(|(_, part)| part.clone()).collect();
            tensors.insert(name.clone(), self.whole(first, &name, parts, Change::Experts)?);
        }
        if self.tied == Some(false) && !tensors.contains_key("output.weight") && self.family.architecture != "bert" {
            return Err(FolderError::tensor(
                self.folder,
                "lm_head.weight",
                "is missing, and config.json says that it is not the embedding: download the folder again",
            ));
        }
        for (name, values) in extra {
            let tensor = Tensor { dimensions: vec![values.len() as u64], ty: WeightType::F32, make: Make::Values(values) };
            match tensors.entry(name.to_owned()) {
                Entry::Vacant(entry) => drop(entry.insert(tensor)),
                Entry::Occupied(_) => return Err(FolderError::tensor(self.folder, name, "stands in the files and in config.json")),
            }
        }
        self.tell(&tensors);
        Ok(tensors)
    }

    /// The tensor `name` of `parts`, one of which is Hugging Face's `theirs`.
    fn whole(&self, theirs: &str, name: &str, parts: Vec<Part>, change: Change) -> Result<Tensor, FolderError> {
        let info = &parts[0].info;
        let wrong = |problem: String| FolderError::tensor(self.folder, theirs, problem);
        let ty = match info.dtype {
            "F32" => WeightType::F32,
            "F16" => WeightType::F16,
            "BF16" => WeightType::BF16,
            other => return Err(wrong(format!("weights of type {other} are not read: take the model in BF16, F16 or F32, or as a GGUF"))),
        };
        if info.shape.is_empty() || info.shape.len() > 2 || info.shape.contains(&0) {
            return Err(wrong(format!("has the shape {:?}, which is neither a vector nor a matrix", info.shape)));
        }
        let mut dimensions: Vec<u64> = info.shape.iter().rev().map(|&d| d as u64).collect();
        if change == Change::Experts {
            dimensions.push(parts.len() as u64);
        }
        let step = match change {
            Change::None | Change::Experts => Step::None,
            Change::PlusOne => Step::PlusOne,
            Change::QueryHeads | Change::KeyHeads => {
                let heads = if change == Change::QueryHeads { self.heads } else { self.kv_heads };
                if !info.shape[0].is_multiple_of(2 * heads) {
                    return Err(wrong(format!("its {} rows are not an even number for each of {heads} heads", info.shape[0])));
                }
                Step::Interleave { heads }
            }
        };
        let made = match (step, self.quantize) {
            // In f32, as the model computes it.
            (Step::PlusOne, _) => WeightType::F32,
            (_, Some(quantize)) => quantize.apply(name, &dimensions, ty),
            (_, None) => ty,
        };
        let elements = dimensions.iter().try_fold(1_usize, |product, &d| usize::try_from(d).ok()?.checked_mul(product));
        if elements.and_then(|elements| elements.checked_mul(size_of::<f32>())).is_none() {
            return Err(wrong(format!("its dimensions {dimensions:?} overflow")));
        }
        Ok(Tensor { dimensions, ty: made, make: Make::Parts { parts, ty, step } })
    }

    /// Says which matrices could not become what was asked for.
    fn tell(&self, tensors: &BTreeMap<String, Tensor>) {
        let Some(quantize) = self.quantize else { return };
        let others = |(name, tensor): &(&String, &Tensor)| {
            tensor.dimensions.len() > 1 && tensor.ty != quantize.wanted(name) && quantize.wanted(name) != WeightType::F32
        };
        if let Some((name, tensor)) = tensors.iter().find(others) {
            let count = tensors.iter().filter(others).count();
            let (columns, ty) = (tensor.dimensions[0], tensor.ty);
            tracing::warn!(
                count,
                "matrices whose rows are not whole blocks of {quantize} are loaded as another type, `{name}` with rows of {columns} as {ty:?}"
            );
        }
    }
}
