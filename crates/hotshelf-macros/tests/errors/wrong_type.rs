use hotshelf::{Cache, cached};

#[cached(cache = cache, key = id)]
async fn product(cache: &Cache<u32>, id: u64) -> String {
    String::new()
}

fn main() {}
