//! The attribute [`macro@cached`] of [hotshelf](https://docs.rs/hotshelf), which exports it with the
//! feature `macros`.
#![forbid(unsafe_code)]

mod arguments;
mod duration;
mod expansion;
mod function;
mod loading;
mod mentions;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Caches what an async function returns.
///
/// ```
/// # use std::sync::LazyLock;
/// use hotshelf::{Cache, Store, cached};
///
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Product { id: u64 }
/// # struct Database;
/// # impl Database {
/// #     async fn product(&self, id: u64) -> Result<Product, std::io::Error> { Ok(Product { id }) }
/// # }
/// static PRODUCTS: LazyLock<Cache<Product>> =
///     LazyLock::new(|| Store::memory().cache("products").build().expect("valid options"));
///
/// #[cached(cache = PRODUCTS, key = id, skip(database), ttl = "15m")]
/// async fn product(id: u64, database: &Database) -> Result<Product, std::io::Error> {
///     database.product(id).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = Database;
/// let lamp = product(7, &database).await?;
/// assert_eq!(lamp.id, 7);
/// product::invalidate(7).await?;
/// # Ok(())
/// # }
/// ```
///
/// The body is the loader: of all concurrent callers, in all processes, one runs it. The function is
/// expanded to what you would write by hand, `PRODUCTS.entry(id).…or_try_insert_with(async || …)`,
/// and callers share the value:
///
/// | the function returns | callers get |
/// | --- | --- |
/// | `T` | `Arc<T>` |
/// | `Option<T>` | `Option<Arc<T>>`; `None` is cached for `negative_ttl` |
/// | `Result<T, E>` | `Result<Arc<T>, LoadError<E>>` |
/// | `Result<Option<T>, E>` | `Result<Option<Arc<T>>, LoadError<E>>` |
///
/// An alias with one parameter, such as `io::Result<T>`, counts as a `Result` if its name ends so.
///
/// # Arguments
///
/// | argument | default | effect |
/// | --- | --- | --- |
/// | `cache = PRODUCTS` | required | the cache: an expression, such as a static, `self.products`, or an argument. Use a cache for one function, since keys are made of arguments alone |
/// | `key = (tenant, id)` | all arguments that aren't skipped | the key: an expression of the arguments, of a type that implements `IntoKey`. What it borrows can't be moved in the body |
/// | `skip(database)` | | what isn't part of the key: arguments, `self` where `cache` isn't a part of it, and type parameters that no argument has. What is in neither is an error |
/// | `tags = ["all"]` | those of the cache | tags in addition to those of the cache: an iterator of text |
/// | `ttl = "15m"` | that of the cache | for how long the value is fresh: a `Duration`, or text such as `"30s"`, `"1h30m"`, `"250ms"`, `"2d"` |
/// | `negative_ttl = "30s"` | that of the cache | for how long a `None` is cached |
/// | `when = !preview` | `true` | whether this call uses the cache. If not, the body runs, and nothing is stored |
/// | `context = context` | | binds a `LoadContext` in the body, which sees the previous value and decides on the lifetime and the tags |
/// | `companions = name` | the function's name | the name of the module with `invalidate` and `refresh` |
///
/// It is for functions of modules and for methods with `self`, not for those of a trait's `impl`, for
/// associated functions, nor for functions within functions.
///
/// # Companions
///
/// A function has a module of the same name, a method has methods:
///
/// | function | method | |
/// | --- | --- | --- |
/// | `product::invalidate(7)` | `invalidate_product(7)` | removes the entry, and refuses loads in flight. Takes the arguments that `key` and `cache` mention |
/// | `product::refresh(7, &database)` | `refresh_product(7, …)` | loads and stores the value, even if it is cached |
///
/// # Errors
/// `product` returns the body's error, which the callers that waited for it share, or a limit of the
/// cache's options; `invalidate` an error if the backend fails.
///
/// # Cancel safety
/// As that of `Cache::get_or_try_insert_with`.
#[proc_macro_attribute]
pub fn cached(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expansion::cached(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
