//! Models of the user's own: a path or an address with a hash, recorded in the weights folder's list under a name.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, bail};
use hearth_engine::{
    catalog::{Catalog, Check, ModelEntry, ModelFile, Source, mark_verified, path_of, record, sha256_file, verify},
    gguf::{Gguf, MappedFile},
};
use url::Url;

use super::{Expected, Place, announce, describe, fetch, lock::PullLock, partial::Partial, space};
use crate::{cli::PullArgs, progress::Progress, text};

/// Pulls `source`, whose hash the user gave.
pub(super) fn pull(source: Source, args: &PullArgs, dir: &Path) -> anyhow::Result<()> {
    let file = file_name(&source)?;
    let Some(sha256) = args.sha256.as_deref() else {
        let how = match &source {
            Source::Path(path) => format!("`sha256sum {}` prints it", path.display()),
            _ => "its publisher shows it".to_owned(),
        };
        bail!("say which sha256 {} must have: --sha256 HEX ({how})", describe(&source));
    };
    let sha256 = sha256.trim().to_ascii_lowercase();
    let name = args.name.clone().unwrap_or_else(|| text::model_name(&file));
    let mut entry = ModelEntry {
        name: name.clone(),
        description: format!("Your own, from {}", describe(&source)),
        licence: "unknown".to_owned(),
        context: 0,
        chat: false,
        files: vec![ModelFile { name: file, size: 0, sha256: sha256.clone(), sources: vec![kept(&source)?] }],
    };
    entry.check()?;
    if Catalog::builtin().find(&name).is_ok() {
        bail!("`{name}` is a model of the built-in catalog: choose another name with --name");
    }
    if let Ok(known) = Catalog::with_local(dir)?.find(&name)
        && known.main_file().sha256 == sha256
        && verify(known, dir, Check::Marked, &mut |_, _| {}).is_ok()
    {
        println!("{name} is already here and verified: {}", path_of(dir, known, known.main_file()).display());
        return Ok(());
    }
    let folder = dir.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let _lock = PullLock::acquire(&folder, &name)?;
    let target = path_of(dir, &entry, entry.main_file());
    // A pull that was killed between the file's rename and its record left it here.
    let is_here = target.is_file() && sha256_file(&target, &mut |_| {}).is_ok_and(|hash| hash == sha256);
    if !is_here {
        eprintln!("pulling {name} from {}", describe(&source));
        let expected = Expected { size: None, sha256: &sha256 };
        fetch(&source, Place { folder: &folder, target: &target }, expected, &name)
            .with_context(|| format!("cannot pull {name} from {}", describe(&source)))?;
    }
    entry.files[0].size = fs::metadata(&target)?.len();
    if let Err(error) = look_into(&mut entry, &target) {
        let _ = fs::remove_file(&target);
        return Err(error.context(format!("{} is not a model that can be loaded; it was not kept", describe(&source))));
    }
    mark_verified(&target, &sha256);
    record(dir, entry.clone())?;
    announce(&entry, dir);
    Ok(())
}

/// Fills in what the file says of itself.
fn look_into(entry: &mut ModelEntry, path: &Path) -> anyhow::Result<()> {
    let map = MappedFile::open(path)?;
    let model = Gguf::parse(&map)?;
    let architecture = model.get_str("general.architecture")?;
    entry.context = model.opt_u32(&format!("{architecture}.context_length"))?.map_or(0, |context| context as usize);
    entry.chat = model.opt_str("tokenizer.chat_template")?.is_some();
    if let Some(licence) = model.opt_str("general.license")? {
        entry.licence = licence.chars().take(80).collect();
    }
    Ok(())
}

/// The source as it is recorded, for the next pull: a path from the root, an address without the user's password.
fn kept(source: &Source) -> anyhow::Result<Source> {
    Ok(match source {
        Source::Path(path) => Source::Path(std::path::absolute(path)?),
        Source::Url(url) => {
            let mut url = Url::parse(url).with_context(|| format!("{} is not an address", describe(source)))?;
            let _ = url.set_username("");
            let _ = url.set_password(None);
            Source::Url(url.into())
        }
        other => other.clone(),
    })
}

/// What the file is called in the weights folder.
fn file_name(source: &Source) -> anyhow::Result<String> {
    let last = match source {
        Source::Path(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Source::Url(url) => {
            let url = Url::parse(url).with_context(|| format!("{} is not an address", describe(source)))?;
            url.path_segments().and_then(|mut segments| segments.next_back().map(str::to_owned)).unwrap_or_default()
        }
        _ => String::new(),
    };
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
    let name: String = last.chars().map(safe).skip_while(|c| !c.is_ascii_alphanumeric()).take(200).collect();
    Ok(if name.is_empty() { "model.gguf".to_owned() } else { name })
}

/// Copies a file of this machine to `temporary`.
pub(super) fn copy(path: &Path, temporary: &Path, what: &str) -> anyhow::Result<Partial> {
    let failed = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(failed)?;
    let metadata = file.metadata().with_context(failed)?;
    if !metadata.is_file() {
        bail!("{} is not a file: name the .gguf file itself", path.display());
    }
    space::check(temporary, metadata.len())?;
    let mut partial = Partial::create(temporary.to_owned())?;
    let mut bar = Progress::new(&format!("copying {what}"), Some(metadata.len()));
    let copied = partial.append(&mut file, None, &mut |done| bar.set(done));
    drop(bar);
    if let Err(error) = copied {
        partial.discard();
        return Err(anyhow::Error::from(error)).with_context(failed);
    }
    Ok(partial)
}
