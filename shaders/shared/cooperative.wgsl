// Square cooperative matrices of f16 operands with an f32 result, in the sizes that adapters list.

/// Rows and columns of a matrix; its products sum over as many values.
@if(tile_8) const SIDE: u32 = 8u;
@if(tile_16) const SIDE: u32 = 16u;
@if(tile_8) alias MatrixA = coop_mat8x8<f16, A>;
@if(tile_16) alias MatrixA = coop_mat16x16<f16, A>;
@if(tile_8) alias MatrixB = coop_mat8x8<f16, B>;
@if(tile_16) alias MatrixB = coop_mat16x16<f16, B>;
@if(tile_8) alias MatrixC = coop_mat8x8<f32, C>;
@if(tile_16) alias MatrixC = coop_mat16x16<f32, C>;
