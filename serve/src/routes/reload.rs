//! `POST /v1/reload`: another model from now on, such as the next checkpoint of a trainer.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wgr::Silent;
use wgr::generate::CausalModel;

use crate::app::App;
use crate::body::Body;
use crate::core::Served;
use crate::failure::{Failure, Failures};
use crate::generation;

/// A model to serve from now on.
#[derive(Deserialize, ToSchema)]
#[schema(as = ReloadRequest)]
pub(crate) struct Request {
    /// Its directory, under the folder that the server was started with: relative to it, or absolute.
    model: String,
}

/// It is served.
#[derive(Serialize, ToSchema)]
#[schema(as = ReloadResponse)]
pub(crate) struct Response {
    model: String,
}

/// Loads a model beside the one that is served, and switches to it between two batches. If it cannot be loaded, nothing
/// changes.
#[utoipa::path(post, path = "/v1/reload", request_body = Request, responses((status = 200, body = Response), Failures))]
pub(crate) async fn reload(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Failure> {
    let Some(root) = &app.config.reload_root else {
        return Err(Failure::Forbidden("nothing can be reloaded: the server was started without --reload-root".into()));
    };
    let path = within(root, &request.model)?;
    let model = path.display().to_string();
    if app.generation.is_some() && (app.rewards.is_none() || CausalModel::open(&model, None).is_ok()) {
        return reload_causal(app, model).await;
    }
    let rewards = app.rewards()?;
    let config = app.config.clone();
    let opened = tokio::task::spawn_blocking(move || Served::open(&config, &path.display().to_string())).await;
    let refused = |error: wgr::Error| Failure::input("model", error.to_string());
    let served = opened.map_err(|_| Failure::Bug)?.map_err(refused)?;
    let model = served.name.clone();
    rewards.switch(served).await.map_err(|error| match error {
        error @ (wgr::Error::Input { .. } | wgr::Error::Run { .. }) => refused(error),
        error => Failure::Device(error.to_string()),
    })?;
    Ok(Json(Response { model }))
}

/// Loads a causal model beside the one that is served; it takes its place once the completions under way have ended.
async fn reload_causal(app: Arc<App>, model: String) -> Result<Json<Response>, Failure> {
    let name = model.clone();
    let loading = tokio::task::spawn_blocking(move || {
        let served = generation::Served::open(&name, app.config.base_dtype, app.config.max_length, &mut Silent);
        let generation = app.generation()?;
        served.and_then(|served| generation.switch(served, &mut Silent)).map_err(|error| match error {
            error @ (wgr::Error::Input { .. } | wgr::Error::Run { .. }) => Failure::input("model", error.to_string()),
            error => Failure::Device(error.to_string()),
        })
    });
    loading.await.map_err(|_| Failure::Bug)??;
    Ok(Json(Response { model }))
}

/// The directory that a client names, which must lie under `root`.
fn within(root: &Path, named: &str) -> Result<PathBuf, Failure> {
    let outside = || Failure::Forbidden(format!("{named:?} is not a directory under --reload-root"));
    let below = Path::new(named).strip_prefix(root).unwrap_or(Path::new(named));
    // Before the file system is asked anything, so that nobody learns what else there is.
    if below.as_os_str().is_empty() || !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let root = root.canonicalize().map_err(|_| outside())?;
    // Links may lead elsewhere.
    let path = root.join(below).canonicalize().map_err(|_| outside())?;
    if path.starts_with(&root) && path.is_dir() { Ok(path) } else { Err(outside()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_under_the_root_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("steps/1")).unwrap();
        std::fs::create_dir(folder.path().join("secret")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let absolute = root.join("steps/1").display().to_string();
        for named in ["steps/1", "steps/1/", absolute.as_str()] {
            assert_eq!(within(&root, named).unwrap(), root.join("steps/1").canonicalize().unwrap(), "{named}");
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).unwrap();
        for named in ["", ".", "..", "../secret", "steps/../../secret", "/etc", "file", "link", "none", "a\0b"] {
            assert!(matches!(within(&root, named), Err(Failure::Forbidden(_))), "{named:?}");
        }
    }
}
