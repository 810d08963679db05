use hotshelf::cached;

#[cached(cache = cache, key = id)]
fn sync(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = cache, key = id)]
async fn nothing(cache: &Cache<u32>, id: u64) {}

#[cached(cache = cache, key = id)]
async fn opaque(cache: &Cache<u32>, id: u64) -> impl Send {
    7
}

#[cached(cache = cache, key = a)]
async fn destructured(cache: &Cache<u32>, (a, b): (u64, u64)) -> u32 {
    7
}

#[cached(cache = cache, key = id)]
async fn shared(cache: &Cache<u32>, id: u64) -> Arc<u32> {
    Arc::new(7)
}

#[cached(cache = cache, key = id, context = context)]
async fn infallible_with_context(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = CACHE)]
struct NotAFunction;

fn main() {}
