"""Kinds of kernels, on names as profilers of H100s print them."""

import pytest

from bench.step.kinds import is_kernel, kind_of

NAMES = {
    "attention": [
        "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x128_4x1x1_cga1x1x1_kernel0_0",
        "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26_64x64x128_1x4x1_cga1x1x1_kernel0_0",
        "void cudnn::fusion::compute_dot_do_o_specialized<true, 128>(__nv_bfloat16*, float*)",
        "void cudnn::fusion::convert_dq_to_16bits<true>(void const*, void*)",
        "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<128, 128, 64, 4, false, false>>",
        "void pytorch_flash::flash_bwd_convert_dq_kernel<Flash_bwd_kernel_traits<128, 64, 128, 8>>",
        "fmha_cutlassF_bf16_aligned_64x128_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::bfloat16_t>::Params)",
        "fmha_cutlassB_bf16_aligned_128x128_k128_sm80",
        "triton_tem_fused_flex_attention_0",
    ],
    "GEMM": [
        "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT",
        "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNN",
        "nvjet_hsh_32x64_64x16_4x1_v_bz_splitK_TNN",
        "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel__5x",
        "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_128x128_64x3_tn_align2>(cutlass_80::Params)",
        "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cute::tuple<int, int, int, int>>>",
        "void cublasLt::splitKreduce_kernel<32, 16, int, __nv_bfloat16, __nv_bfloat16, float>(float*)",
        "ampere_sgemm_64x64_nt",
        "void gemv2T_kernel_val<int, int, float, float, float, float, 128, 16, 4, 4, false>",
        "triton_tem_fused_addmm_2",
        "grouped",
    ],
    "elementwise": [
        "norm_forward",
        "cast_tiles",
        "norm_backward",
        "heads_backward",
        "gelu_forward",
        "add_backward",
        "triton_red_fused__to_copy_add_native_layer_norm_backward_24",
        "triton_poi_fused_add_addmm_gelu_mul_0",
        "triton_per_fused_sum_4",
        "triton_red_fused__to_copy_mean_mul_pow_rsqrt_0",
        "triton_red_fused__to_copy_add_index_select_mul_native_layer_norm_3",
        "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>>",
        "void at::native::reduce_kernel<128, 4, at::native::ReduceOp<float, sum_functor>>",
        "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float, float, false>(int, float)",
    ],
    "gather, copy": [
        "void at::native::indexFuncLargeIndex<c10::BFloat16, long, unsigned int, 2, 2, -2, true>",
        "void at::native::(anonymous namespace)::indexSelectLargeIndex<c10::BFloat16, long, unsigned int>",
        "void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel>",
        "void at::native::(anonymous namespace)::CatArrayBatchedCopy_vectorized<OpaqueType<2u>, unsigned int, 3>",
        "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)>",
        "void at::native::vectorized_elementwise_kernel<8, at::native::bfloat16_copy_kernel_cuda>",
        "Memcpy DtoD (Device -> Device)",
        "Memcpy HtoD (Pinned -> Device)",
        "triton_poi_fused_index_select_7",
        "triton_poi_fused_index_copy_new_zeros_1",
        "triton_poi_fused_cat_clone_2",
    ],
    "optimizer": [
        "_adamw",
        "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<at::native::(anonymous namespace)::"
        "FusedOptimizerTensorListMetadata<4>, at::native::(anonymous namespace)::FusedAdamMathFunctor<float, 4>>",
        "void at::native::<unnamed>::multi_tensor_apply_kernel<at::native::<unnamed>::TensorListMetadata<(int)2>, "
        "std::plus<float>, float>(T1, T2, T3...)",
    ],
    "memset": ["Memset (Device)"],
    "other": ["_norm_streams"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_the_kind_of_a_kernel(kind, name):
    assert is_kernel(name) and kind_of(name) == kind


def test_stretches_of_time_are_no_kernels():
    for name in ("ProfilerStep*", "Optimizer.step#AdamW.step", "## Call CompiledFxGraph fabc ##"):
        assert not is_kernel(name)
