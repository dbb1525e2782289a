// Every program the engine can run, one line each: (shader file, entry point, axes of features).
// A permutation picks one feature from each axis ("" picks none). `build.rs` composes and validates all of them, so a
// permutation that does not compile cannot be shipped; `wgr::gpu::shader` looks them up by name and features.
//
// Features:
//   a_, b_, c_, x_, y_, w_   storage of one operand: f32, bf16 or f16, packed two to a u32
//   nt nn tn                 which operand of a product is transposed
//   bias residual            what a product adds to its result
//   subgroup                 share loads among the lanes of a subgroup instead of through workgroup memory

const PROGRAMS: &[(&str, &str, &[&[&str]])] = &[
    ("product_tiled", "main", &[&["nt"], &["a_f32", "a_bf16"], &["b_f32", "b_bf16", "b_f16"], &["c_f32", "c_bf16"], &["", "bias"], &["", "residual"]]),
    ("product_tiled", "main", &[&["nn"], &["a_f32"], &["b_f32", "b_bf16", "b_f16"], &["c_f32"]]),
    ("product_tiled", "main", &[&["tn"], &["a_f32"], &["b_f32", "b_bf16"], &["c_f32"]]),
    ("product_register", "main", &[&["nt"], &["a_f32", "a_bf16"], &["b_f32", "b_bf16", "b_f16"], &["c_f32", "c_bf16"], &["", "bias"], &["", "residual"]]),
    ("product_register", "main", &[&["nn"], &["a_f32"], &["b_f32", "b_bf16", "b_f16"], &["c_f32"]]),
    ("product_register", "main", &[&["tn"], &["a_f32"], &["b_f32", "b_bf16"], &["c_f32"]]),
    ("column_sum", "chunks", &[&[""]]),
    ("column_sum", "total", &[&[""]]),
    ("rms_norm", "forward", &[&["", "y_bf16"]]),
    ("rms_norm", "backward", &[&[""]]),
    ("rms_norm", "backward_weight", &[&[""]]),
    ("objective", "ordinal", &[&[""]]),
    ("objective", "coral", &[&[""]]),
    ("objective", "corn", &[&[""]]),
    ("objective", "pairwise", &[&[""]]),
    ("objective", "regression", &[&[""]]),
    ("global_norm", "slots", &[&[""]]),
    ("global_norm", "tensors", &[&[""]]),
    ("global_norm", "finish", &[&[""]]),
    ("adamw", "update", &[&["", "copy_bf16", "copy_f16"]]),
];
