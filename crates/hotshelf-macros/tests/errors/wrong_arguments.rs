use hotshelf::cached;

#[cached(cache = cache, ttl = "15", key = id)]
async fn without_unit(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = cache, ttl = 15, key = id)]
async fn number_without_unit(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = cache, time_to_live = "15m", key = id)]
async fn unknown(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = cache, key = id, key = id)]
async fn twice(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = cache, key = id, skip(database))]
async fn unknown_skip(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = cache, key = id, skip(id))]
async fn key_and_skip(cache: &Cache<u32>, id: u64) -> u32 {
    7
}

#[cached(cache = cache)]
async fn too_many(cache: &Cache<u32>, a: u8, b: u8, c: u8, d: u8, e: u8) -> u32 {
    7
}

fn main() {}
