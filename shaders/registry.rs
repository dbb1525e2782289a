// Every program the engine can run, one line each: (shader file, entry point, axes of features).
// A permutation picks one feature from each axis ("" picks none). `build.rs` composes and validates all of them, so a
// permutation that does not compile cannot be shipped; `wgr::gpu::shader` looks them up by name and features.
//
// Features:
//   a_, b_, c_, x_, y_, w_   storage of one operand: f32; bf16 or f16, two to a word; q8, four to a word with scales
//   wide                     operands are words of 64 bits (shared/f32, halves), which standard WGSL does not have
//   nt nn tn                 which operand of a product is transposed
//   few rows_1 rows_4 rows_16  for products of at most 16 rows, or so many
//   bias residual            what a product adds to its result
//   erf tanh                 which GELU
//   first last mean          what a sequence is pooled to
//   cache_f16                keys and values are kept as f16 instead of f32
//   head_32 head_64 head_128 largest head the registers have room for
//   subgroup                 share loads among the lanes of a subgroup instead of through workgroup memory

const PROGRAMS: &[(&str, &str, &[&[&str]])] = &[
    ("product_tiled", "main", &[&["nt"], &["a_f32", "a_bf16"], &["b_f32", "b_bf16", "b_f16", "b_q8"], &["c_f32", "c_bf16"], &["", "bias"], &["", "residual"]]),
    ("product_tiled", "main", &[&["nt"], &["few"], &["a_f32"], &["b_f32", "b_bf16", "b_f16", "b_q8"], &["c_f32"], &["", "bias"], &["", "residual"]]),
    ("product_tiled", "main", &[&["nn"], &["a_f32"], &["b_f32", "b_bf16", "b_f16", "b_q8"], &["c_f32"]]),
    ("product_tiled", "main", &[&["tn"], &["a_f32"], &["b_f32", "b_bf16"], &["c_f32"]]),
    ("product_register", "main", &[&["", "wide"], &["nt"], &["a_f32", "a_bf16"], &["b_f32", "b_bf16", "b_f16", "b_q8"], &["c_f32", "c_bf16"], &["", "bias"], &["", "residual"]]),
    ("product_register", "main", &[&["", "wide"], &["nn"], &["a_f32"], &["b_f32", "b_bf16", "b_f16", "b_q8"], &["c_f32"]]),
    ("product_register", "main", &[&["", "wide"], &["tn"], &["a_f32"], &["b_f32", "b_bf16"], &["c_f32"]]),
    ("product_skinny", "main", &[&["", "wide"], &["rows_1", "rows_4", "rows_16"], &["a_f32"], &["b_f32", "b_bf16", "b_f16", "b_q8"], &["c_f32"], &["", "bias"], &["", "residual"]]),
    ("attention", "forward", &[&["", "subgroup"], &["head_32", "head_64", "head_128"], &["", "x_bf16"]]),
    ("attention", "backward_dot", &[&["", "x_bf16"]]),
    ("attention", "backward_query", &[&["", "subgroup"], &["head_32", "head_64", "head_128"], &["", "x_bf16"]]),
    ("attention", "backward_key_value", &[&["", "subgroup"], &["head_32", "head_64", "head_128"], &["", "x_bf16"]]),
    ("cached_attention", "write", &[&["", "cache_f16"]]),
    ("cached_attention", "forward", &[&["head_32", "head_64", "head_128"], &["", "cache_f16"]]),
    ("cached_attention", "forward", &[&["subgroup"], &["", "wide"], &["head_32", "head_64", "head_128"], &["", "cache_f16"]]),
    ("column_sum", "chunks", &[&[""]]),
    ("column_sum", "total", &[&[""]]),
    ("rms_norm", "forward", &[&["", "y_bf16"]]),
    ("rms_norm", "backward", &[&[""]]),
    ("rms_norm", "backward_weight", &[&[""]]),
    ("layer_norm", "forward", &[&["", "y_bf16"]]),
    ("l2_norm", "forward", &[&[""]]),
    ("embedding", "forward", &[&["", "w_bf16", "w_f16", "w_q8"]]),
    ("embedding", "backward", &[&[""]]),
    ("rope", "main", &[&["", "x_bf16"]]),
    ("swiglu", "forward", &[&["", "x_bf16"]]),
    ("swiglu", "backward", &[&["", "x_bf16"]]),
    ("gelu", "forward", &[&["erf", "tanh"], &["", "x_bf16"]]),
    ("dropout", "forward", &[&["", "x_bf16"]]),
    ("dropout", "backward", &[&[""]]),
    ("pooling", "forward", &[&["first", "last", "mean"]]),
    ("pooling", "backward", &[&[""]]),
    ("add", "main", &[&[""]]),
    ("objective", "ordinal", &[&[""]]),
    ("objective", "coral", &[&[""]]),
    ("objective", "corn", &[&[""]]),
    ("objective", "pairwise", &[&[""]]),
    ("objective", "regression", &[&[""]]),
    ("gather", "forward", &[&[""]]),
    ("gather", "backward", &[&[""]]),
    ("log_prob", "forward", &[&[""]]),
    ("log_prob", "sequences", &[&[""]]),
    ("log_prob", "backward", &[&[""]]),
    ("preference", "sigmoid", &[&[""]]),
    ("preference", "cdpo", &[&[""]]),
    ("preference", "robust", &[&[""]]),
    ("preference", "hinge", &[&[""]]),
    ("preference", "ipo", &[&[""]]),
    ("preference", "simpo", &[&[""]]),
    ("preference", "orpo", &[&[""]]),
    ("preference", "apo_zero", &[&[""]]),
    ("preference", "nca_pair", &[&[""]]),
    ("global_norm", "slots", &[&["", "wide"]]),
    ("global_norm", "tensors", &[&[""]]),
    ("global_norm", "finish", &[&[""]]),
    ("adamw", "update", &[&["", "wide"], &["", "copy_bf16", "copy_f16"]]),
];
