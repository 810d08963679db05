//! What mistakes are told, and where.

#[test]
fn errors_name_the_argument_and_the_cure() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/errors/*.rs");
}
