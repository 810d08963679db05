//! Runs the fuzz targets without a fuzzer, with the files of their corpora and mutations of
//! these.
//!
//! Each input is determined by a seed. `HOTSHELF_SEED=17` runs that input again;
//! `HOTSHELF_SEEDS=1000000` runs more of them than usual. The input of a seed changes with the
//! files of the corpus, so add the input of a failure to it.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod corpus;
mod mutation;
mod seeds;

/// Runs the inputs of a folder, and then mutated ones for about a second.
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
fn undamaged_trailers_are_found() {
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
