//! Runs the fuzz targets without a fuzzer: the files of their corpora, and what becomes of
//! these by mutations.
//!
//! A seed decides everything. `HOTSHELF_SEED=17` runs that input again;
//! `HOTSHELF_SEEDS=1000000` runs more of them than usual. What a seed means changes with the
//! files of the corpus: those of a failure belong there.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod corpus;
mod mutation;
mod seeds;

/// Runs the inputs of a folder, and then as many mutated ones as take about a second.
fn holds(name: &str, target: fn(&[u8]), usual: u64) {
    let corpus = corpus::load(name);
    for (file, input) in &corpus {
        seeds::announced(&format!("corpus/{name}/{file}"), input, target);
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    for seed in seeds::seeds(usual) {
        let input = mutation::mutated(&inputs, seed);
        seeds::announced(&seeds::replay(seed), &input, target);
    }
}

#[test]
fn resp_decodes_the_same_in_pieces() {
    holds("decoder", fuzz::decoder, 30_000);
}

#[test]
fn replies_reach_their_own_waiters() {
    holds("pipeline", fuzz::pipeline, 60_000);
}

#[test]
fn commands_go_to_slot_owners() {
    holds("router", fuzz::router, 60_000);
}

#[test]
fn a_trailer_is_found_unless_it_is_damaged() {
    holds("trailer", fuzz::trailer, 200_000);
}

#[test]
fn corpora_stay_small() {
    let files: Vec<_> = ["decoder", "pipeline", "router", "trailer"]
        .into_iter()
        .flat_map(corpus::load)
        .map(|(_, input)| input.len())
        .collect();
    assert!(files.len() < 100 && files.iter().sum::<usize>() < 200_000, "{files:?}");
}
