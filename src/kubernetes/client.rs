//! The API servers that a config names.

use super::eks;
use super::slim::{Page, Slim};
use crate::aws::Aws;
use crate::config::{Eks, Namespace};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Client, Config, Resource};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;
use tower::limit::ConcurrencyLimitLayer;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests wait for an answer of one API server at once: it refuses a burst of some hundreds of one client,
/// and each takes a connection. A watch counts until it stands.
const REQUESTS_AT_ONCE: usize = 32;
/// How many objects a list answers with at once; a page is held twice and more, as it came and as it is read.
const PAGE: u32 = 50;
/// A list of more pages than this is a mistake.
const MOST_PAGES: usize = 2_000;

type Key = (Option<PathBuf>, Option<String>, Option<Box<Eks>>);

/// The API servers that a config names. Cheap to clone; a client is made when it is first needed, and kept.
#[derive(Clone, Default)]
pub struct Kubernetes {
    servers: Arc<Mutex<BTreeMap<Key, Server>>>,
    /// For the clusters in EKS.
    aws: Aws,
}

/// One API server, as one context leads to it.
#[derive(Clone)]
pub(super) struct Server {
    pub client: Client,
    pub url: String,
    default_namespace: String,
    pub context: Option<String>,
}

/// A namespace behind an API server.
#[derive(Clone)]
pub(super) struct Ground {
    pub server: Server,
    pub namespace: String,
}

impl Kubernetes {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The namespace that a config means.
    ///
    /// # Errors
    /// The kubeconfig or its context cannot be used: one sentence.
    pub(super) async fn ground(&self, namespace: &Namespace) -> Result<Ground, String> {
        let server = self.server(namespace).await?;
        let namespace = server.namespace(namespace).to_owned();
        Ok(Ground { server, namespace })
    }

    async fn server(&self, namespace: &Namespace) -> Result<Server, String> {
        let key = (namespace.kubeconfig.clone(), namespace.context.clone(), namespace.eks.clone());
        if let Some(server) = self.servers().get(&key) {
            return Ok(server.clone());
        }
        let (mut config, tokens) = match &namespace.eks {
            Some(eks) => eks::config(&self.aws, eks).await.map(|(config, tokens)| (config, Some(tokens)))?,
            None => (config(namespace).await?, None),
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.write_timeout = Some(WRITE_TIMEOUT);
        config.read_timeout = None;
        let (url, default_namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let builder =
            ClientBuilder::try_from(config).map_err(|error| format!("cannot speak to {url}: {}", chain(&error)))?;
        let limit = ConcurrencyLimitLayer::new(REQUESTS_AT_ONCE);
        let client = match tokens {
            // The filter holds a request until it has a token, and so needs a service that can be shared.
            Some(tokens) => builder
                .with_layer(&BufferLayer::new(REQUESTS_AT_ONCE))
                .with_layer(&AsyncFilterLayer::new(tokens))
                .with_layer(&limit)
                .build(),
            None => builder.with_layer(&limit).build(),
        };
        let server = Server { client, url, default_namespace, context: namespace.way() };
        self.servers().insert(key, server.clone());
        Ok(server)
    }

    /// A problem's sentence. Credentials that were not taken are forgotten with their clients, so that the next request
    /// reads them anew.
    pub(super) fn told(&self, problem: Problem) -> String {
        // Unauthorized.
        if problem.status == Some(401) {
            self.servers().clear();
        }
        problem.sentence
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Server>> {
        // Whole between any two statements under the lock.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn config(namespace: &Namespace) -> Result<Config, String> {
    let context = namespace.context.clone();
    let kubeconfig = match &namespace.kubeconfig {
        Some(path) => Kubeconfig::read_from(path).map_err(|error| format!("{}: {}", path.display(), chain(&error)))?,
        None if context.is_none() => {
            let inferred = Config::infer().await;
            return inferred.map_err(|error| format!("neither a kubeconfig nor a pod's account: {}", chain(&error)));
        }
        None => Kubeconfig::read().map_err(|error| format!("cannot read the kubeconfig: {}", chain(&error)))?,
    };
    if let Some(wanted) = &context {
        let names: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        if !names.contains(&wanted.as_str()) {
            let path = namespace.kubeconfig.as_ref().map_or("the kubeconfig".to_owned(), |at| at.display().to_string());
            return Err(format!("{path} has no context {wanted}; it has {}", names.join(", ")));
        }
    }
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| chain(&error))
}

impl Server {
    /// The namespace that is meant; by default the context's own.
    pub fn namespace<'a>(&'a self, namespace: &'a Namespace) -> &'a str {
        namespace.name.as_ref().unwrap_or(&self.default_namespace)
    }
}

impl Ground {
    /// For people: the namespace, and the context where one is named.
    pub fn place(&self) -> String {
        match &self.server.context {
            Some(context) => format!("namespace {} of context {context}", self.namespace),
            None => format!("namespace {}", self.namespace),
        }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.server.client.clone(), &self.namespace)
    }

    /// All objects that the selector names, as they are now (a consistent read), and the resource version they are of.
    ///
    /// # Errors
    /// One sentence, with the API server's own words.
    pub async fn list<K>(&self, selector: &str) -> Result<(Vec<K::Kept>, String), Problem>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Slim,
    {
        let lists = Request::new(K::url_path(&(), Some(&self.namespace)));
        let mut params = ListParams::default().limit(PAGE).labels(selector);
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let page = self.page::<K>(&lists, &params).await.map_err(|error| self.problem(&error))?;
            all.extend(page.items.into_iter().flatten().map(K::keep));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
            }
        }
        Err(Problem::other(format!("a list in {} does not end", self.place())))
    }

    async fn page<K: Slim>(&self, lists: &Request, params: &ListParams) -> kube::Result<Page<K::Read>> {
        let request = lists.list(params).map_err(kube::Error::BuildRequest)?;
        self.server.client.request(request).await
    }

    /// What an error of the client means, in one sentence.
    pub fn problem(&self, error: &kube::Error) -> Problem {
        let url = &self.server.url;
        let status = match error {
            kube::Error::Api(status) => status,
            other => return Problem::other(format!("the API server at {url}: {}", chain(other))),
        };
        let (message, place) = (&status.message, self.place());
        let sentence = match status.code {
            403 => format!("{message} ({place}; `stillpoint rbac` prints the Role it needs)"),
            401 => format!("the API server at {url} does not know who asks: {message}"),
            code => format!("{message} ({code}, {place})"),
        };
        Problem { sentence, status: Some(status.code) }
    }

    /// It did not answer in time.
    pub fn silent(&self, deadline: Duration) -> Problem {
        Problem::other(format!("the API server at {} did not answer within {deadline:?}", self.server.url))
    }
}

/// Why the API server did not answer what was asked.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub sentence: String,
    /// The HTTP status of its answer.
    pub status: Option<u16>,
}

impl Problem {
    pub const fn other(sentence: String) -> Self {
        Self { sentence, status: None }
    }
}

/// The words of an error and its causes, each once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}
