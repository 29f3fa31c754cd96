//! Which instruction set the kernels use, decided once at run time.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::{pool, scalar, simd::Kernel};

/// A CPU target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Target {
    /// Plain Rust, for every CPU.
    Scalar = 1,
    /// x86-64 with AVX2 and F16C.
    Avx2 = 2,
    /// x86-64 with AVX2, F16C and AVX-VNNI.
    AvxVnni = 3,
    /// x86-64 with AVX-512 and its VNNI.
    Avx512 = 4,
    /// AArch64 with NEON.
    Neon = 5,
    /// AArch64 with NEON and its dot products.
    NeonDot = 6,
    /// WebAssembly with SIMD128.
    Simd128 = 7,
}

/// 0 until decided.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

impl Target {
    /// The targets that this CPU can run, from the plainest to the best.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
                all.push(Self::Avx2);
                if is_x86_feature_detected!("avxvnni") {
                    all.push(Self::AvxVnni);
                }
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                all.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            all.push(Self::Neon);
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                all.push(Self::NeonDot);
            }
        }
        // A module that uses it does not load in an engine without it: what it was compiled for is there.
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        all.push(Self::Simd128);
        all
    }

    /// The target in use: the best available one, or a lower one named by the environment variable `HEARTH_KERNELS` (`scalar`, `avx2`, `avxvnni`,
    /// `avx512`, `neon`, `neondot` or `simd128`), for tests and to find out whether a fault lies in a kernel.
    pub fn current() -> Self {
        match CHOSEN.load(Relaxed) {
            1 => Self::Scalar,
            2 => Self::Avx2,
            3 => Self::AvxVnni,
            4 => Self::Avx512,
            5 => Self::Neon,
            6 => Self::NeonDot,
            7 => Self::Simd128,
            _ => {
                let available = Self::available();
                let wish = std::env::var("HEARTH_KERNELS").ok();
                let target = available.iter().copied().rfind(|t| wish.as_deref().is_none_or(|wish| t.name().eq_ignore_ascii_case(wish)));
                let target = target.unwrap_or(available[available.len() - 1]);
                CHOSEN.store(target as u8, Relaxed);
                target
            }
        }
    }

    /// Uses this target from now on, if it is available; says whether it is. All targets give the same bits, so it may be changed at any time.
    pub fn choose(self) -> bool {
        let available = Self::available().contains(&self);
        if available {
            CHOSEN.store(self as u8, Relaxed);
        }
        available
    }

    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
            Self::NeonDot => "neondot",
            Self::Simd128 => "simd128",
        }
    }
}

/// The CPU's kernels in words, for a status line: `AVX512-VNNI, 2 threads`.
pub fn cpu_description() -> String {
    let target = match Target::current() {
        Target::Scalar => "scalar",
        Target::Avx2 => "AVX2",
        Target::AvxVnni => "AVX-VNNI",
        Target::Avx512 => "AVX512-VNNI",
        Target::Neon => "NEON",
        Target::NeonDot => "NEON with dot products",
        Target::Simd128 => "SIMD128",
    };
    let threads = pool::threads();
    format!("{target}, {threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// Runs a kernel on the current target.
///
/// # Safety
/// What the kernel asks for.
#[inline]
#[allow(unsafe_code)]
pub(super) unsafe fn run(kernel: impl Kernel) {
    // SAFETY: `current` gives only targets whose features the CPU has; the kernel's own demands are the caller's.
    unsafe {
        match Target::current() {
            #[cfg(target_arch = "x86_64")]
            Target::Avx512 => super::avx512::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Target::AvxVnni => super::avx2::run_vnni(kernel),
            #[cfg(target_arch = "x86_64")]
            Target::Avx2 => super::avx2::run(kernel),
            #[cfg(target_arch = "aarch64")]
            Target::NeonDot => super::neon::run_dot(kernel),
            #[cfg(target_arch = "aarch64")]
            Target::Neon => super::neon::run(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Target::Simd128 => kernel.run::<super::simd128::Simd128>(),
            _ => kernel.run::<scalar::Scalar>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn an_architecture_has_its_target() {
        let available = Target::available();
        eprintln!("{available:?}");
        assert_eq!(available[0], Target::Scalar);
        assert!(!cfg!(target_arch = "aarch64") || available.contains(&Target::Neon));
        assert!(!cfg!(all(target_arch = "wasm32", target_feature = "simd128")) || available.contains(&Target::Simd128));
    }
}
