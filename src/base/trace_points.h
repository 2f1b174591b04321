/* SPDX-License-Identifier: MIT */
/*
 * Every trace point of the house: X(name, what its four values mean).  In the order data takes.
 * A point called "(span)" tells how long it took as well.  Included several times with X defined;
 * so no guard.
 */
X(vfu_message, "command flags bytes msg_id")
X(vfu_reply, "command error bytes msg_id")
X(vfu_served, "command posted bytes msg_id") /* (span) the message and its reply */
X(kvm_slot, "number gpa bytes read_only")
X(kvm_exit_mmio, "vcpu gpa bytes write")
X(kvm_coalesced, "gpa bytes value -")
X(vfio_region_read, "region offset bytes value")
X(vfio_region_write, "region offset bytes value")
X(vfio_access, "write_region offset bytes value") /* (span) either; write in bit 32 */
X(vfio_dma_map, "iova bytes flags fd")
X(vfio_dma_unmap, "iova bytes flags -")
X(vfio_decode, "region gpa bytes on")
X(vfio_alias, "gpa bytes of on")
X(vfio_irq, "index vector - -")
X(vfio_reset, "- - - -")
X(vgpu_mmio_read, "offset bytes value -")
X(vgpu_mmio_write, "offset bytes value -")
X(vgpu_ggtt_write, "index pte - -")
X(vgpu_elsp, "engine ctx0 ctx1 -")
X(vgpu_taken, "engine ctx0 ctx1 -") /* the lane has it now */
X(vgpu_csb, "engine status context_id slot")
X(vgpu_context_load, "engine context_id head tail") /* (span) */
X(vgpu_context_save, "engine context_id head tail") /* (span) */
X(vgpu_iir, "iir_offset bits - -")
X(vgpu_msi, "master_status - - -") /* (span) */
X(vgpu_reset_engine, "engine - - -")
X(vgpu_reset_full, "- - - -")
X(vgpu_notify, "g2v pdp0 - -")
/* The kind has bit 8 for the per-process space and bit 9 for a write: struct gpu_fault. */
X(vgpu_fault, "engine_context kind_header command_at address")
X(scan_command, "engine address header dwords")
X(scan_audit, "engine_source address bytes accepted_bytes") /* (span) */
X(sched_run, "entity budget_ns result -")		    /* (span) */
X(sched_lease_wait, "granted - - -")			    /* (span) */
X(sched_lease_got, "cpu slice_end_ns - -")
X(sched_lease_end, "reason - - -")		   /* enum sched_lease_end */
X(gpu_batch, "engine address level resumed_ppgtt") /* ppgtt in bit 0, resumed in bit 1 */
X(gpu_batch_end, "engine level - -")
X(gpu_fault, "engine kind address header")
X(gpu_interrupt, "engine bits - -")
X(shadow_walk, "pml4 gma gpa fault")
X(display_flip, "pipe surf ctl stride")
X(display_vblank, "pipe frame missed late_us")
X(display_vblank_on, "pipe frame - -")
X(display_hotplug, "port connected - -")
X(display_frame, "pipe width height changed_rows")
