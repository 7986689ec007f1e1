// Made by tools/generate.mjs from proto/*.proto.
// biome-ignore-all lint: generated

export const MESSAGE_TEXT: Readonly<Record<string, string>> = {
  aa_namespace: '1 name string r;2 policies !aa_policy *;3 namespaces !aa_namespace *',
  aa_policy: '1 name string r;2 blob bytes r',
  aio_ring_entry: '1 id uint64 r;2 nr_req uint32 r;3 ring_len uint32 r',
  apparmor_entry: '1 namespaces !aa_namespace *',
  autofs_entry: '1 fd int32 r;2 pgrp int32 r;3 timeout int32 r;4 minproto int32 r;5 maxproto int32 r;6 mode int32 r;7 uid int32 o;8 gid int32 o;9 read_fd int32 o',
  binfmt_misc_entry: '1 name string r;2 enabled bool r;3 interpreter string r;4 flags string o;5 extension string o;6 magic string o;7 mask string o;8 offset int32 o',
  bpfmap_data_entry: '1 map_id uint32 r;2 keys_bytes uint32 r;3 values_bytes uint32 r;4 count uint32 r',
  bpfmap_file_entry: '1 id uint32 r;2 flags uint32 r flags=rfile.flags;3 pos uint64 r;4 fown !fown_entry r;5 map_type uint32 r;6 key_size uint32 r;7 value_size uint32 r;8 map_id uint32 r;9 max_entries uint32 r;10 map_flags uint32 r;11 memlock uint64 r;12 frozen bool r;13 map_name string r;14 ifindex uint32 r;15 mnt_id sint32 o;16 map_extra uint64 o',
  cg_controller_entry: '1 cnames string *;2 dirs !cgroup_dir_entry *;3 is_threaded bool o',
  cg_member_entry: '1 name string r;2 path string r;3 cgns_prefix uint32 o',
  cg_set_entry: '1 id uint32 r;2 ctls !cg_member_entry *',
  cgroup_dir_entry: '1 dir_name string r;2 children !cgroup_dir_entry *;3 properties !cgroup_prop_entry *;4 dir_perms !cgroup_perms o',
  cgroup_entry: '1 sets !cg_set_entry *;2 controllers !cg_controller_entry *',
  cgroup_perms: '1 mode uint32 r;2 uid uint32 r;3 gid uint32 r',
  cgroup_prop_entry: '1 name string r;2 value string r;3 perms !cgroup_perms o',
  cgroup_root: '1 ctrl string o;2 path string r',
  core_entry: '1 mtype =march r;2 thread_info !thread_info_x86 o;3 tc !task_core_entry o;4 ids !task_kobj_ids_entry o;5 thread_core !thread_core_entry o;6 ti_arm !thread_info_arm o;8 ti_aarch64 !thread_info_aarch64 o;9 ti_ppc64 !thread_info_ppc64 o;10 ti_s390 !thread_info_s390 o;11 ti_mips !thread_info_mips o;12 ti_loongarch64 !thread_info_loongarch64 o;13 ti_riscv64 !thread_info_riscv64 o',
  cpuinfo_entry: '1 x86_entry !cpuinfo_x86_entry *;2 ppc64_entry !cpuinfo_ppc64_entry *;3 s390_entry !cpuinfo_s390_entry *',
  cpuinfo_ppc64_entry: '1 endian =endianness r;2 hwcap uint64 *',
  cpuinfo_s390_entry: '2 hwcap uint64 *',
  cpuinfo_x86_entry: '1 vendor_id =vendor r;2 cpu_family uint32 r;3 model uint32 r;4 stepping uint32 r;5 capability_ver uint32 r;6 capability uint32 *;7 model_id string o;8 xfeatures_mask uint64 o;9 xsave_size uint32 o;10 xsave_size_max uint32 o',
  creds_entry: '1 uid uint32 r;2 gid uint32 r;3 euid uint32 r;4 egid uint32 r;5 suid uint32 r;6 sgid uint32 r;7 fsuid uint32 r;8 fsgid uint32 r;9 cap_inh uint32 *;10 cap_prm uint32 *;11 cap_eff uint32 *;12 cap_bnd uint32 *;13 secbits uint32 r;14 groups uint32 *;15 lsm_profile string o;16 lsm_sockcreate string o;17 apparmor_data bytes o;18 no_new_privs uint32 o;19 cap_amb uint32 *',
  criu_dump_resp: '1 restored bool o',
  criu_features: '1 mem_track bool o;2 lazy_pages bool o;3 pidfd_store bool o',
  criu_notify: '1 script string o;2 pid int32 o',
  criu_opts: '1 images_dir_fd int32 r;2 pid int32 o;3 leave_running bool o;4 ext_unix_sk bool o;5 tcp_established bool o;6 evasive_devices bool o;7 shell_job bool o;8 file_locks bool o;9 log_level int32 o;10 log_file string o;11 ps !criu_page_server_info o;12 notify_scripts bool o;13 root string o;14 parent_img string o;15 track_mem bool o;16 auto_dedup bool o;17 work_dir_fd int32 o;18 link_remap bool o;19 veths !criu_veth_pair *;20 cpu_cap uint32 o;21 force_irmap bool o;22 exec_cmd string *;23 ext_mnt !ext_mount_map *;24 manage_cgroups bool o;25 cg_root !cgroup_root *;26 rst_sibling bool o;27 inherit_fd !inherit_fd *;28 auto_ext_mnt bool o;29 ext_sharing bool o;30 ext_masters bool o;31 skip_mnt string *;32 enable_fs string *;33 unix_sk_ino !unix_sk *;34 manage_cgroups_mode =criu_cg_mode o;35 ghost_limit uint32 o;36 irmap_scan_paths string *;37 external string *;38 empty_ns uint32 o;39 join_ns !join_namespace *;41 cgroup_props string o;42 cgroup_props_file string o;43 cgroup_dump_controller string *;44 freeze_cgroup string o;45 timeout uint32 o;46 tcp_skip_in_flight bool o;47 weak_sysctls bool o;48 lazy_pages bool o;49 status_fd int32 o;50 orphan_pts_master bool o;51 config_file string o;52 tcp_close bool o;53 lsm_profile string o;54 tls_cacert string o;55 tls_cacrl string o;56 tls_cert string o;57 tls_key string o;58 tls bool o;59 tls_no_cn_verify bool o;60 cgroup_yard string o;61 pre_dump_mode =criu_pre_dump_mode o;62 pidfd_store_sk int32 o;63 lsm_mount_context string o;64 network_lock =criu_network_lock_method o;65 mntns_compat_mode bool o;66 skip_file_rwx_check bool o;67 unprivileged bool o;68 images_dir string o;69 leave_stopped bool o;70 display_stats bool o;71 log_to_stderr bool o',
  criu_page_server_info: '1 address string o;2 port int32 o;3 pid int32 o;4 fd int32 o',
  criu_req: '1 type =criu_req_type r;2 opts !criu_opts o;3 notify_success bool o;4 keep_open bool o;5 features !criu_features o;6 pid uint32 o',
  criu_resp: '1 type =criu_req_type r;2 success bool r;3 dump !criu_dump_resp o;4 restore !criu_restore_resp o;5 notify !criu_notify o;6 ps !criu_page_server_info o;7 cr_errno int32 o;8 features !criu_features o;9 cr_errmsg string o;10 version !criu_version o;11 status int32 o',
  criu_restore_resp: '1 pid int32 r',
  criu_version: '1 major_number int32 r;2 minor_number int32 r;3 gitid string o;4 sublevel int32 o;5 extra int32 o;6 name string o',
  criu_veth_pair: '1 if_in string r;2 if_out string r',
  crts_checksum_entry: '1 name string r;2 size uint64 r;3 sums_bytes uint32 r;4 self uint32 r hex',
  crts_deadline_entry: '1 runtime uint64 r;2 deadline uint64 r;3 period uint64 r;4 flags uint32 o hex',
  crts_dispatch_entry: '1 offset uint64 r hex;2 length uint64 r hex;3 selector uint64 r hex',
  crts_ghost_entry: '1 atim_nsec uint32 r;2 mtim_nsec uint32 r;3 xattrs !crts_xattr_entry *;4 inode_flags uint32 o hex;5 project uint32 o',
  crts_mempolicy_entry: '1 start uint64 r hex;2 end uint64 r hex;3 mode uint32 r hex;4 nodes uint64 * hex',
  crts_packet_entry: '1 sender bytes o;2 pid uint32 o;3 uid uint32 o;4 gid uint32 o;5 urgent uint32 o',
  crts_pipe_packet: '1 offset uint32 r;2 length uint32 r',
  crts_socket_option: '1 name uint32 r;2 value bytes r',
  crts_sysv_entry: '1 id uint32 r;2 key sint32 r;3 size uint64 r;4 mode uint32 r;5 uid uint32 r;6 gid uint32 r;7 cpid sint32 r;8 boot_id string r;9 huge_flag uint32 o hex',
  crts_thread_entry: '1 timer_slack_ns uint64 o;2 cpu_affinity bytes o;3 io_priority uint32 o;4 coredump_filter uint32 o;5 mdwe uint32 o;6 sched_reset_on_fork bool o;7 deadline !crts_deadline_entry o;8 sched_slice_ns uint64 o;9 util_min uint32 o;10 util_max uint32 o;11 mem_policy uint32 o hex;12 mem_nodes bytes o;13 store_bypass uint32 o;14 indirect_branch uint32 o;15 l1d_flush uint32 o;16 tsc_faults bool o;17 cpuid_faults bool o;18 memory_failure uint32 o;19 syscall_dispatch !crts_dispatch_entry o;20 thp_except_advised bool o;21 memory_merge bool o;22 autogroup_nice sint32 o;23 io_flusher bool o;24 stop_untold bool o;25 xcomp_permission uint64 o hex;26 fs !fs_entry o;27 exit_signal uint32 o;28 continue_untold bool o;29 personality uint32 o hex;30 seccomp_common uint32 o',
  crts_tracked_entry: '1 pid uint32 r;2 uffd uint32 r;3 pidfd uint32 r',
  crts_tracker_entry: '1 holder_pid uint32 r;2 holder_start uint64 r;3 tasks !crts_tracked_entry *',
  crts_unix_entry: '1 peer_gone bool o;2 peer_name bytes o;3 pending_error bool o;4 cred_pid uint32 o;5 cred_uid uint32 o;6 cred_gid uint32 o;7 options !crts_socket_option *;8 waiting uint32 *;9 path string o;10 uid uint32 o;11 gid uint32 o;12 mode uint32 o;13 maker_pid uint32 o',
  crts_xattr_entry: '1 name string r;2 value bytes r',
  dump_stats_entry: '1 freezing_time uint32 r;2 frozen_time uint32 r;3 memdump_time uint32 r;4 memwrite_time uint32 r;5 pages_scanned uint64 r;6 pages_skipped_parent uint64 r;7 pages_written uint64 r;8 irmap_resolve uint32 o;9 pages_lazy uint64 r;10 page_pipes uint64 o;11 page_pipe_bufs uint64 o;12 shpages_scanned uint64 o;13 shpages_skipped_parent uint64 o;14 shpages_written uint64 o',
  eventfd_file_entry: '1 id uint32 r;2 flags uint32 r;3 fown !fown_entry r;4 counter uint64 r;1000 crts_semaphore bool o',
  eventpoll_file_entry: '1 id uint32 r;2 flags uint32 r;3 fown !fown_entry r;4 tfd !eventpoll_tfd_entry *;1000 crts_params bytes o',
  eventpoll_tfd_entry: '1 id uint32 r;2 tfd uint32 r;3 events uint32 r;4 data uint64 r;5 dev uint32 o;6 inode uint64 o;7 pos uint64 o;1000 crts_number uint32 o;1001 crts_file uint32 o;1002 crts_fired uint32 o',
  ext_file_entry: '1 id uint32 r;5 fown !fown_entry r;1000 crts_plugin string o;1001 crts_data bytes o',
  ext_mount_map: '1 key string r;2 val string r',
  fanotify_file_entry: '1 id uint32 r;2 flags uint32 r hex;3 fown !fown_entry r;4 faflags uint32 r hex;5 evflags uint32 r hex;6 mark !fanotify_mark_entry *',
  fanotify_inode_mark_entry: '1 i_ino uint64 r;2 f_handle !fh_entry r',
  fanotify_mark_entry: '1 id uint32 r;2 type =mark_type r;3 mflags uint32 r hex;4 mask uint32 r hex;5 ignored_mask uint32 r hex;6 s_dev uint32 r dev;7 ie !fanotify_inode_mark_entry o;8 me !fanotify_mount_mark_entry o',
  fanotify_mount_mark_entry: '1 mnt_id uint32 r;2 path string o',
  fdinfo_entry: '1 id uint32 r;2 flags uint32 r;3 type =fd_types r;4 fd uint32 r;5 xattr_security_selinux string o',
  fh_entry: '1 bytes uint32 r;2 type uint32 r;3 handle uint64 *;4 path string o;5 mnt_id uint32 o',
  fifo_entry: '1 id uint32 r;2 pipe_id uint32 r;3 regf_id uint32 o;1000 crts_unmet bool o',
  file_entry: '1 type =fd_types r;2 id uint32 r;3 reg !reg_file_entry o;4 isk !inet_sk_entry o;5 nsf !ns_file_entry o;6 psk !packet_sock_entry o;7 nlsk !netlink_sk_entry o;8 efd !eventfd_file_entry o;9 epfd !eventpoll_file_entry o;10 sgfd !signalfd_entry o;11 tunf !tunfile_entry o;12 tfd !timerfd_entry o;13 ify !inotify_file_entry o;14 ffy !fanotify_file_entry o;15 ext !ext_file_entry o;16 usk !unix_sk_entry o;17 fifo !fifo_entry o;18 pipe !pipe_entry o;19 tty !tty_file_entry o;20 memfd !memfd_file_entry o;21 bpf !bpfmap_file_entry o;22 pidfd !pidfd_entry o',
  file_lock_entry: '1 flag uint32 r;2 type uint32 r;3 pid int32 r;4 fd int32 r;5 start int64 r;6 len int64 r',
  file_perms_entry: '1 mode uint32 r;2 uid uint32 r;3 gid uint32 r',
  fown_entry: '1 uid uint32 r;2 euid uint32 r;3 signum uint32 r;4 pid_type uint32 r;5 pid uint32 r',
  fs_entry: '1 cwd_id uint32 r;2 root_id uint32 r;3 umask uint32 o',
  ghost_chunk_entry: '1 len uint64 r;2 off uint64 r',
  ghost_file_entry: '1 uid uint32 r;2 gid uint32 r;3 mode uint32 r;4 dev uint32 o dev;5 ino uint64 o;6 rdev uint32 o dev,odev;7 atim !timeval o;8 mtim !timeval o;9 chunks bool o;10 size uint64 o;11 symlnk_target string o;1000 crts !crts_ghost_entry o',
  img_streamer_reply_entry: '1 exists bool r',
  img_streamer_request_entry: '1 filename string r',
  inet_sk_entry: '1 id uint32 r;2 ino uint32 r;3 family uint32 r dict=sk;4 type uint32 r dict=sk;5 proto uint32 r dict=sk;6 state uint32 r dict=sk;7 src_port uint32 r;8 dst_port uint32 r;9 flags uint32 r hex;10 backlog uint32 r;11 src_addr uint32 * ip;12 dst_addr uint32 * ip;13 fown !fown_entry r;14 opts !sk_opts_entry r;15 v6only bool o;16 ip_opts !ip_opts_entry o;17 ifname string o;18 ns_id uint32 o;19 shutdown =sk_shutdown o;20 tcp_opts !tcp_opts_entry o',
  inherit_fd: '1 key string r;2 fd int32 r',
  inotify_file_entry: '1 id uint32 r;2 flags uint32 r hex;4 fown !fown_entry r;5 wd !inotify_wd_entry *;1000 crts_queued_bytes uint32 o',
  inotify_wd_entry: '1 id uint32 r;2 i_ino uint64 r;3 mask uint32 r hex;4 ignored_mask uint32 r hex;5 s_dev uint32 r dev;6 wd uint32 r;7 f_handle !fh_entry r',
  inventory_entry: '1 img_version uint32 r;2 fdinfo_per_id bool o;3 root_ids !task_kobj_ids_entry o;4 ns_per_id bool o;5 root_cg_set uint32 o;6 lsmtype =lsmtype o;8 dump_uptime uint64 o;9 pre_dump_mode uint32 o;10 tcp_close bool o;11 network_lock_method uint32 o;12 plugins_entry !plugins_entry o;13 dump_criu_run_id string o;14 allow_uprobes bool o;1000 crts_tracker !crts_tracker_entry o',
  ip_opts_entry: '1 freebind bool o;4 raw !ip_opts_raw_entry o;5 pktinfo bool o;6 tos uint32 o;7 ttl uint32 o',
  ip_opts_raw_entry: '1 hdrincl bool o;2 nodefrag bool o;3 checksum bool o;4 icmpv_filter uint32 *',
  ipc_desc_entry: '1 key uint32 r;2 uid uint32 r;3 gid uint32 r;4 cuid uint32 r;5 cgid uint32 r;6 mode uint32 r;7 id uint32 r',
  ipc_msg: '1 mtype uint64 r;2 msize uint32 r',
  ipc_msg_entry: '1 desc !ipc_desc_entry r;2 qbytes uint32 r;3 qnum uint32 r',
  ipc_sem_entry: '1 desc !ipc_desc_entry r;2 nsems uint32 r',
  ipc_shm_entry: '1 desc !ipc_desc_entry r;2 size uint64 r;3 in_pagemaps bool o;4 hugetlb_flag uint32 o',
  ipc_var_entry: '1 sem_ctls uint32 *;2 msg_ctlmax uint32 r;3 msg_ctlmnb uint32 r;4 msg_ctlmni uint32 r;5 auto_msgmni uint32 r;6 shm_ctlmax uint64 r;7 shm_ctlall uint64 r;8 shm_ctlmni uint32 r;9 shm_rmid_forced uint32 r;10 mq_queues_max uint32 r;11 mq_msg_max uint32 r;12 mq_msgsize_max uint32 r;13 mq_msg_default uint32 o;14 mq_msgsize_default uint32 o;15 msg_next_id uint32 o;16 sem_next_id uint32 o;17 shm_next_id uint32 o',
  irmap_cache_entry: '1 dev uint32 r dev,odev;2 inode uint64 r;3 path string r',
  itimer_entry: '1 isec uint64 r;2 iusec uint64 r;3 vsec uint64 r;4 vusec uint64 r',
  join_namespace: '1 ns string r;2 ns_file string r;3 extra_opt string o',
  macvlan_link_entry: '1 mode uint32 r;2 flags uint32 o',
  memfd_file_entry: '1 id uint32 r;2 flags uint32 r flags=rfile.flags;3 pos uint64 r;4 fown !fown_entry r;5 inode_id uint32 r',
  memfd_inode_entry: '1 name string r;2 uid uint32 r;3 gid uint32 r;4 size uint64 r;5 shmid uint32 r;6 seals uint32 r flags=seals.flags;7 inode_id uint64 r;8 hugetlb_flag uint32 o;9 mode uint32 o;1000 crts_anonymous bool o',
  mm_entry: '1 mm_start_code uint64 r hex;2 mm_end_code uint64 r hex;3 mm_start_data uint64 r hex;4 mm_end_data uint64 r hex;5 mm_start_stack uint64 r hex;6 mm_start_brk uint64 r hex;7 mm_brk uint64 r hex;8 mm_arg_start uint64 r hex;9 mm_arg_end uint64 r hex;10 mm_env_start uint64 r hex;11 mm_env_end uint64 r hex;12 exe_file_id uint32 r;13 mm_saved_auxv uint64 *;14 vmas !vma_entry *;15 dumpable int32 o;16 aios !aio_ring_entry *;17 thp_disabled bool o;1000 crts_saved_auxv uint64 *;1001 crts_pkeys uint32 o hex;1002 crts_execute_only_pkey uint32 o;1003 crts_lock_future uint32 o hex;1004 crts_mempolicies !crts_mempolicy_entry *',
  mnt_entry: '1 fstype uint32 r;2 mnt_id uint32 r;3 root_dev uint32 r dev;4 parent_mnt_id uint32 r;5 flags uint32 r hex;6 root string r;7 mountpoint string r;8 source string r;9 options string r;10 shared_id uint32 o;11 master_id uint32 o;12 with_plugin bool o;13 ext_mount bool o;14 fsname string o;15 internal_sharing bool o;16 deleted bool o;17 sb_flags uint32 o hex;18 ext_key string o',
  net_device_entry: '1 type =nd_type r;2 ifindex uint32 r;3 mtu uint32 r;4 flags uint32 r hex;5 name string r;6 tun !tun_link_entry o;7 address bytes o;8 conf int32 *;9 conf4 !sysctl_entry *;10 conf6 !sysctl_entry *;11 macvlan !macvlan_link_entry o;12 peer_ifindex uint32 o;13 peer_nsid uint32 o;14 master uint32 o;15 sit !sit_entry o',
  netlink_sk_entry: '1 id uint32 r;2 ino uint32 r;3 protocol uint32 r;4 state uint32 r;6 flags uint32 r hex;7 portid uint32 r;8 groups uint32 *;9 dst_portid uint32 r;10 dst_group uint32 r;11 fown !fown_entry r;12 opts !sk_opts_entry r;13 ns_id uint32 o',
  netns_entry: '1 def_conf int32 *;2 all_conf int32 *;3 def_conf4 !sysctl_entry *;4 all_conf4 !sysctl_entry *;5 def_conf6 !sysctl_entry *;6 all_conf6 !sysctl_entry *;7 nsids !netns_id *;8 ext_key string o;9 unix_conf !sysctl_entry *;10 ipv4_sysctl !sysctl_entry *',
  netns_id: '1 target_ns_id uint32 r;2 netnsid_value int32 r',
  ns_file_entry: '1 id uint32 r;2 ns_id uint32 r;3 ns_cflag uint32 r;4 flags uint32 r',
  pac_address_keys: '1 apiakey_lo uint64 r;2 apiakey_hi uint64 r;3 apibkey_lo uint64 r;4 apibkey_hi uint64 r;5 apdakey_lo uint64 r;6 apdakey_hi uint64 r;7 apdbkey_lo uint64 r;8 apdbkey_hi uint64 r;9 pac_enabled_key uint64 r',
  pac_generic_keys: '1 apgakey_lo uint64 r;2 apgakey_hi uint64 r',
  pac_keys: '6 pac_address_keys !pac_address_keys o;7 pac_generic_keys !pac_generic_keys o',
  packet_mclist: '1 index uint32 r;2 type uint32 r;3 addr bytes r',
  packet_ring: '1 block_size uint32 r;2 block_nr uint32 r;3 frame_size uint32 r;4 frame_nr uint32 r;5 retire_tmo uint32 r;6 sizeof_priv uint32 r;7 features uint32 r',
  packet_sock_entry: '1 id uint32 r;2 type uint32 r;3 protocol uint32 r;4 flags uint32 r hex;5 ifindex uint32 r;6 fown !fown_entry r;7 opts !sk_opts_entry r;8 version uint32 r;9 reserve uint32 r;10 aux_data bool r;11 orig_dev bool r;12 vnet_hdr bool r;13 loss bool r;14 timestamp uint32 r;15 copy_thresh uint32 r;16 mclist !packet_mclist *;17 fanout uint32 o;18 rx_ring !packet_ring o;19 tx_ring !packet_ring o;20 ns_id uint32 o',
  pagemap_entry: '1 vaddr uint64 r hex;2 compat_nr_pages uint32 r;3 in_parent bool o;4 flags uint32 o flags=pmap.flags;5 nr_pages uint64 o;1000 crts_pages_id uint32 o;1001 crts_page uint64 o',
  pagemap_head: '1 pages_id uint32 r;1000 crts_pages_id uint32 o',
  pidfd_entry: '1 id uint32 r;2 ino uint32 r;3 flags uint32 r;4 nspid int32 r;5 fown !fown_entry r;1000 crts_exit_status uint32 o',
  pidns_entry: '1 ext_key string o',
  pipe_data_entry: '1 pipe_id uint32 r;2 bytes uint32 r;3 size uint32 o;1000 crts_packets !crts_pipe_packet *',
  pipe_entry: '1 id uint32 r;2 pipe_id uint32 r;3 flags uint32 r hex;4 fown !fown_entry r;1000 crts_uid uint32 o;1001 crts_gid uint32 o;1002 crts_mode uint32 o;1003 crts_outside bool o',
  plugins_entry: '12 plugins string *',
  posix_timer_entry: '1 it_id uint32 r;2 clock_id uint32 r;3 si_signo uint32 r;4 it_sigev_notify uint32 r;5 sival_ptr uint64 r;6 overrun uint32 r;7 isec uint64 r;8 insec uint64 r;9 vsec uint64 r;10 vnsec uint64 r;11 notify_thread_id int32 o',
  pstree_entry: '1 pid uint32 r;2 ppid uint32 r;3 pgid uint32 r;4 sid uint32 r;5 threads uint32 *',
  reg_file_entry: '1 id uint32 r;2 flags uint32 r flags=rfile.flags;3 pos uint64 r;5 fown !fown_entry r;6 name string r;7 mnt_id sint32 o;8 size uint64 o;9 ext bool o;10 mode uint32 o;11 build_id uint32 *;12 checksum uint32 o;13 checksum_config uint32 o;14 checksum_parameter uint32 o;1000 crts_write_hint uint32 o',
  remap_file_path_entry: '1 orig_id uint32 r;2 remap_id uint32 r;3 remap_type =remap_type o',
  restore_stats_entry: '1 pages_compared uint64 r;2 pages_skipped_cow uint64 r;3 forking_time uint32 r;4 restore_time uint32 r;5 pages_restored uint64 o',
  rlimit_entry: '1 cur uint64 r;2 max uint64 r',
  rseq_entry: '1 rseq_abi_pointer uint64 r;2 rseq_abi_size uint32 r;3 signature uint32 r;4 rseq_cs_pointer uint64 o',
  sa_entry: '1 sigaction uint64 r hex;2 flags uint64 r hex;3 restorer uint64 r hex;4 mask uint64 r hex;5 compat_sigaction bool o;6 mask_extended uint64 o hex',
  scm_entry: '1 type uint32 r;2 rights uint32 *',
  seccomp_entry: '1 seccomp_filters !seccomp_filter *',
  seccomp_filter: '1 filter bytes r;2 prev uint32 o;3 flags uint32 o',
  siginfo_entry: '1 siginfo bytes r',
  signal_queue_entry: '1 signals !siginfo_entry *',
  signalfd_entry: '1 id uint32 r;2 flags uint32 r hex;3 fown !fown_entry r;4 sigmask uint64 r hex',
  sit_entry: '1 link uint32 o;2 local uint32 * ip;3 remote uint32 * ip;4 ttl uint32 o;5 tos uint32 o;6 pmtudisc bool o;7 proto uint32 o;8 flags uint32 o;9 encap_type uint32 o;10 encap_flags uint32 o;11 encap_sport uint32 o;12 encap_dport uint32 o;13 rd_prefixlen uint32 o;14 rd_prefix uint32 * ip;15 relay_prefixlen uint32 o;16 relay_prefix uint32 * ip',
  sk_opts_entry: '1 so_sndbuf uint32 r;2 so_rcvbuf uint32 r;3 so_snd_tmo_sec uint64 r;4 so_snd_tmo_usec uint64 r;5 so_rcv_tmo_sec uint64 r;6 so_rcv_tmo_usec uint64 r;7 reuseaddr bool o;8 so_priority uint32 o;9 so_rcvlowat uint32 o;10 so_mark uint32 o;11 so_passcred bool o;12 so_passsec bool o;13 so_dontroute bool o;14 so_no_check bool o;15 so_bound_dev string o;16 so_filter fixed64 *;17 so_reuseport bool o;18 so_broadcast bool o;19 so_keepalive bool o;20 tcp_keepcnt uint32 o;21 tcp_keepidle uint32 o;22 tcp_keepintvl uint32 o;23 so_oobinline uint32 o;24 so_linger uint32 o;25 so_buf_lock uint32 o',
  sk_packet_entry: '1 id_for uint32 r;2 length uint32 r;4 scm !scm_entry *;1000 crts !crts_packet_entry o',
  stats_entry: '1 dump !dump_stats_entry o;2 restore !restore_stats_entry o',
  sysctl_entry: '1 type =SysctlType r;2 iarg int32 o;3 sarg string o',
  task_core_entry: '1 task_state uint32 r dict=gen;2 exit_code uint32 r;3 personality uint32 r;4 flags uint32 r;5 blk_sigset uint64 r hex;6 comm string r;7 timers !task_timers_entry o;8 rlimits !task_rlimits_entry o;9 cg_set uint32 o;10 signals_s !signal_queue_entry o;11 old_seccomp_mode =seccomp_mode o;12 old_seccomp_filter uint32 o;13 loginuid uint32 o;14 oom_score_adj int32 o;15 sigactions !sa_entry *;18 child_subreaper bool o;20 blk_sigset_extended uint64 o hex;21 stop_signo uint32 o;22 membarrier_registration_mask uint32 o hex',
  task_kobj_ids_entry: '1 vm_id uint32 r;2 files_id uint32 r;3 fs_id uint32 r;4 sighand_id uint32 r;5 pid_ns_id uint32 o;6 net_ns_id uint32 o;7 ipc_ns_id uint32 o;8 uts_ns_id uint32 o;9 mnt_ns_id uint32 o;10 user_ns_id uint32 o;11 cgroup_ns_id uint32 o;12 time_ns_id uint32 o',
  task_rlimits_entry: '1 rlimits !rlimit_entry *',
  task_timers_entry: '1 real !itimer_entry r;2 virt !itimer_entry r;3 prof !itimer_entry r;4 posix !posix_timer_entry *',
  tcp_opts_entry: '1 cork bool o;2 nodelay bool o;3 keepcnt uint32 o;4 keepidle uint32 o;5 keepintvl uint32 o',
  tcp_stream_entry: '1 inq_len uint32 r;2 inq_seq uint32 r;3 outq_len uint32 r;4 outq_seq uint32 r;5 opt_mask uint32 r hex;6 snd_wscale uint32 r;7 mss_clamp uint32 r;8 rcv_wscale uint32 o;9 timestamp uint32 o;10 cork bool o;11 nodelay bool o;12 unsq_len uint32 o;13 snd_wl1 uint32 o;14 snd_wnd uint32 o;15 max_window uint32 o;16 rcv_wnd uint32 o;17 rcv_wup uint32 o',
  termios_entry: '1 c_iflag uint32 r;2 c_oflag uint32 r;3 c_cflag uint32 r;4 c_lflag uint32 r;5 c_line uint32 r;6 c_ispeed uint32 r;7 c_ospeed uint32 r;8 c_cc uint32 *',
  thread_core_entry: '1 futex_rla uint64 r;2 futex_rla_len uint32 r;3 sched_nice sint32 o;4 sched_policy uint32 o;5 sched_prio uint32 o;6 blk_sigset uint64 o;7 sas !thread_sas_entry o;8 pdeath_sig uint32 o;9 signals_p !signal_queue_entry o;10 creds !creds_entry o;11 seccomp_mode =seccomp_mode o;12 seccomp_filter uint32 o;13 comm string o;14 blk_sigset_extended uint64 o;15 rseq_entry !rseq_entry o;16 cg_set uint32 o;1000 crts !crts_thread_entry o',
  thread_info_aarch64: '1 clear_tid_addr uint64 r hex;2 tls uint64 r;3 gpregs !user_aarch64_regs_entry r hex;4 fpsimd !user_aarch64_fpsimd_context_entry r;5 pac_keys !pac_keys o',
  thread_info_arm: '1 clear_tid_addr uint64 r hex;2 tls uint32 r;3 gpregs !user_arm_regs_entry r hex;4 fpstate !user_arm_vfpstate_entry r',
  thread_info_loongarch64: '1 clear_tid_addr uint64 r hex;2 tls uint64 r;3 gpregs !user_loongarch64_gpregs_entry r hex;4 fpregs !user_loongarch64_fpregs_entry r hex',
  thread_info_mips: '1 clear_tid_addr uint64 r hex;2 tls uint64 r;3 gpregs !user_mips_regs_entry r hex;4 fpregs !user_mips_fpregs_entry r hex',
  thread_info_ppc64: '1 clear_tid_addr uint64 r hex;2 gpregs !user_ppc64_regs_entry r hex;3 fpstate !user_ppc64_fpstate_entry o;4 vrstate !user_ppc64_vrstate_entry o;5 vsxstate !user_ppc64_vsxstate_entry o;6 tmstate !user_ppc64_tm_regs_entry o',
  thread_info_riscv64: '1 clear_tid_addr uint64 r hex;2 tls uint64 r;3 gpregs !user_riscv64_regs_entry r hex;4 fpsimd !user_riscv64_d_ext_entry r',
  thread_info_s390: '1 clear_tid_addr uint64 r hex;2 gpregs !user_s390_regs_entry r hex;3 fpregs !user_s390_fpregs_entry r hex;4 vxrs_low !user_s390_vxrs_low_entry o hex;5 vxrs_high !user_s390_vxrs_high_entry o hex;6 gs_cb !user_s390_gs_cb_entry o hex;7 gs_bc !user_s390_gs_cb_entry o hex;8 ri_cb !user_s390_ri_entry o hex',
  thread_info_x86: '1 clear_tid_addr uint64 r hex;2 gpregs !user_x86_regs_entry r hex;3 fpregs !user_x86_fpregs_entry r;4 tls !user_desc_t *',
  thread_sas_entry: '1 ss_sp uint64 r;2 ss_size uint64 r;3 ss_flags uint32 r',
  timens_entry: '1 monotonic !timespec r;2 boottime !timespec r',
  timerfd_entry: '1 id uint32 r;2 flags uint32 r hex;3 fown !fown_entry r;4 clockid uint32 r;5 ticks uint64 r;6 settime_flags uint32 r hex;7 vsec uint64 r;8 vnsec uint64 r;9 isec uint64 r;10 insec uint64 r;1000 crts_expires_sec uint64 o;1001 crts_expires_nsec uint64 o',
  timespec: '1 tv_sec uint64 r;2 tv_nsec uint64 r',
  timeval: '1 tv_sec uint64 r;2 tv_usec uint64 r',
  tty_data_entry: '1 tty_id uint32 r;2 data bytes r',
  tty_file_entry: '1 id uint32 r;2 tty_info_id uint32 r;3 flags uint32 r hex;4 fown !fown_entry r;6 regf_id uint32 o',
  tty_info_entry: '1 id uint32 r;2 type =TtyType r;3 locked bool r;4 exclusive bool r;5 packet_mode bool r;6 sid uint32 r;7 pgrp uint32 r;8 rdev uint32 r;9 termios !termios_entry o;10 termios_locked !termios_entry o;11 winsize !winsize_entry o;12 pty !tty_pty_entry o;13 dev uint32 o;14 uid uint32 o;15 gid uint32 o',
  tty_pty_entry: '1 index uint32 r',
  tun_link_entry: '1 flags uint32 r hex;2 owner int32 r;3 group int32 r;4 vnethdr uint32 r;5 sndbuf uint32 r',
  tunfile_entry: '1 id uint32 r;2 netdev string o;3 detached bool o;4 ns_id uint32 o',
  uid_gid_extent: '1 first uint32 r;2 lower_first uint32 r;3 count uint32 r',
  unix_sk: '1 inode uint32 r',
  unix_sk_entry: '1 id uint32 r;2 ino uint32 r;3 type uint32 r dict=sk;4 state uint32 r dict=sk;5 flags uint32 r hex;6 uflags uint32 r hex;7 backlog uint32 r;8 peer uint32 r;9 fown !fown_entry r;10 opts !sk_opts_entry r;11 name bytes r conv=unix_name;12 shutdown =sk_shutdown o;13 file_perms !file_perms_entry o;14 name_dir string o;15 deleted bool o;16 ns_id uint32 o;17 mnt_id sint32 o;1000 crts !crts_unix_entry o',
  user_aarch64_fpsimd_context_entry: '1 vregs uint64 *;2 fpsr uint32 r;3 fpcr uint32 r',
  user_aarch64_regs_entry: '1 regs uint64 *;2 sp uint64 r;3 pc uint64 r;4 pstate uint64 r',
  user_arm_regs_entry: '1 r0 uint32 r;2 r1 uint32 r;3 r2 uint32 r;4 r3 uint32 r;5 r4 uint32 r;6 r5 uint32 r;7 r6 uint32 r;8 r7 uint32 r;9 r8 uint32 r;10 r9 uint32 r;11 r10 uint32 r;12 fp uint32 r;13 ip uint32 r;14 sp uint32 r;15 lr uint32 r;16 pc uint32 r;17 cpsr uint32 r;18 orig_r0 uint32 r',
  user_arm_vfpstate_entry: '1 vfp_regs uint64 *;2 fpscr uint32 r;3 fpexc uint32 r;4 fpinst uint32 r;5 fpinst2 uint32 r',
  user_desc_t: '1 entry_number uint32 r;2 base_addr uint32 r;3 limit uint32 r;4 seg_32bit bool r;5 contents_h bool r;6 contents_l bool r;7 read_exec_only bool r;8 limit_in_pages bool r;9 seg_not_present bool r;10 usable bool r',
  user_loongarch64_fpregs_entry: '1 regs uint64 *;2 fcc uint64 r;3 fcsr uint32 r',
  user_loongarch64_gpregs_entry: '1 regs uint64 *;2 pc uint64 r',
  user_mips_fpregs_entry: '1 r0 uint64 r;2 r1 uint64 r;3 r2 uint64 r;4 r3 uint64 r;5 r4 uint64 r;6 r5 uint64 r;7 r6 uint64 r;8 r7 uint64 r;9 r8 uint64 r;10 r9 uint64 r;11 r10 uint64 r;12 r11 uint64 r;13 r12 uint64 r;14 r13 uint64 r;15 r14 uint64 r;16 r15 uint64 r;17 r16 uint64 r;18 r17 uint64 r;19 r18 uint64 r;20 r19 uint64 r;21 r20 uint64 r;22 r21 uint64 r;23 r22 uint64 r;24 r23 uint64 r;25 r24 uint64 r;26 r25 uint64 r;27 r26 uint64 r;28 r27 uint64 r;29 r28 uint64 r;30 r29 uint64 r;31 r30 uint64 r;32 r31 uint64 r;33 lo uint64 r;34 hi uint64 r;35 fpu_fcr31 uint32 r;36 fpu_id uint32 r',
  user_mips_regs_entry: '1 r0 uint64 r;2 r1 uint64 r;3 r2 uint64 r;4 r3 uint64 r;5 r4 uint64 r;6 r5 uint64 r;7 r6 uint64 r;8 r7 uint64 r;9 r8 uint64 r;10 r9 uint64 r;11 r10 uint64 r;12 r11 uint64 r;13 r12 uint64 r;14 r13 uint64 r;15 r14 uint64 r;16 r15 uint64 r;17 r16 uint64 r;18 r17 uint64 r;19 r18 uint64 r;20 r19 uint64 r;21 r20 uint64 r;22 r21 uint64 r;23 r22 uint64 r;24 r23 uint64 r;25 r24 uint64 r;26 r25 uint64 r;27 r26 uint64 r;28 r27 uint64 r;29 r28 uint64 r;30 r29 uint64 r;31 r30 uint64 r;32 r31 uint64 r;33 lo uint64 r;34 hi uint64 r;35 cp0_epc uint64 r;36 cp0_badvaddr uint64 r;37 cp0_status uint64 r;38 cp0_cause uint64 r',
  user_ppc64_fpstate_entry: '1 fpregs uint64 *',
  user_ppc64_regs_entry: '1 gpr uint64 *;2 nip uint64 r;3 msr uint64 r;4 orig_gpr3 uint64 r;5 ctr uint64 r;6 link uint64 r;7 xer uint64 r;8 ccr uint64 r;9 trap uint64 r;10 texasr uint64 o;11 tfhar uint64 o;12 tfiar uint64 o',
  user_ppc64_tm_regs_entry: '1 gpregs !user_ppc64_regs_entry r;2 fpstate !user_ppc64_fpstate_entry o;3 vrstate !user_ppc64_vrstate_entry o;4 vsxstate !user_ppc64_vsxstate_entry o',
  user_ppc64_vrstate_entry: '1 vrregs uint64 *;2 vrsave uint32 r',
  user_ppc64_vsxstate_entry: '1 vsxregs uint64 *',
  user_riscv64_d_ext_entry: '1 f uint64 *;2 fcsr uint32 r',
  user_riscv64_regs_entry: '1 pc uint64 r;2 ra uint64 r;3 sp uint64 r;4 gp uint64 r;5 tp uint64 r;6 t0 uint64 r;7 t1 uint64 r;8 t2 uint64 r;9 s0 uint64 r;10 s1 uint64 r;11 a0 uint64 r;12 a1 uint64 r;13 a2 uint64 r;14 a3 uint64 r;15 a4 uint64 r;16 a5 uint64 r;17 a6 uint64 r;18 a7 uint64 r;19 s2 uint64 r;20 s3 uint64 r;21 s4 uint64 r;22 s5 uint64 r;23 s6 uint64 r;24 s7 uint64 r;25 s8 uint64 r;26 s9 uint64 r;27 s10 uint64 r;28 s11 uint64 r;29 t3 uint64 r;30 t4 uint64 r;31 t5 uint64 r;32 t6 uint64 r',
  user_s390_fpregs_entry: '1 fpc uint32 r;2 fprs uint64 *',
  user_s390_gs_cb_entry: '1 regs uint64 *',
  user_s390_regs_entry: '1 psw_mask uint64 r;2 psw_addr uint64 r;3 gprs uint64 *;4 acrs uint32 *;5 orig_gpr2 uint64 r;6 system_call uint32 r',
  user_s390_ri_entry: '1 ri_on uint32 r;2 regs uint64 *',
  user_s390_vxrs_high_entry: '1 regs uint64 *',
  user_s390_vxrs_low_entry: '1 regs uint64 *',
  user_x86_cet_entry: '1 cet uint64 r hex;2 ssp uint64 r hex',
  user_x86_fpregs_entry: '1 cwd uint32 r;2 swd uint32 r;3 twd uint32 r;4 fop uint32 r;5 rip uint64 r;6 rdp uint64 r;7 mxcsr uint32 r;8 mxcsr_mask uint32 r;9 st_space uint32 *;10 xmm_space uint32 *;11 padding uint32 *;13 xsave !user_x86_xsave_entry o',
  user_x86_regs_entry: '1 r15 uint64 r;2 r14 uint64 r;3 r13 uint64 r;4 r12 uint64 r;5 bp uint64 r;6 bx uint64 r;7 r11 uint64 r;8 r10 uint64 r;9 r9 uint64 r;10 r8 uint64 r;11 ax uint64 r;12 cx uint64 r;13 dx uint64 r;14 si uint64 r;15 di uint64 r;16 orig_ax uint64 r;17 ip uint64 r;18 cs uint64 r;19 flags uint64 r;20 sp uint64 r;21 ss uint64 r;22 fs_base uint64 r;23 gs_base uint64 r;24 ds uint64 r;25 es uint64 r;26 fs uint64 r;27 gs uint64 r;28 mode =user_x86_regs_mode o',
  user_x86_xsave_entry: '1 xstate_bv uint64 r;2 ymmh_space uint32 *;3 bndreg_state uint64 *;4 bndcsr_state uint64 *;5 opmask_reg uint64 *;6 zmm_upper uint64 *;7 hi16_zmm uint64 *;8 pkru uint32 *;9 cet !user_x86_cet_entry o;1000 crts_tile_config bytes o;1001 crts_tile_data bytes o',
  userns_entry: '1 uid_map !uid_gid_extent *;2 gid_map !uid_gid_extent *',
  utsns_entry: '1 nodename string r;2 domainname string r',
  vma_entry: '1 start uint64 r hex;2 end uint64 r hex;3 pgoff uint64 r;4 shmid uint64 r;5 prot uint32 r flags=mmap.prot;6 flags uint32 r flags=mmap.flags;7 status uint32 r flags=mmap.status;8 fd sint64 r;9 madv uint64 o hex;10 fdflags uint32 o hex;1000 crts_pkey uint32 o;1001 crts_object_size uint64 o;1002 crts_sysv !crts_sysv_entry o;1003 crts_state uint32 o hex;1004 crts_name string o',
  winsize_entry: '1 ws_row uint32 r;2 ws_col uint32 r;3 ws_xpixel uint32 r;4 ws_ypixel uint32 r',
};

export const ENUMS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  SysctlType: { 'CTL_STR': 5, 'CTL_32': 6 },
  TtyType: { 'UNKNOWN': 0, 'PTY': 1, 'CONSOLE': 2, 'VT': 3, 'CTTY': 4, 'EXT_TTY': 5, 'SERIAL': 6 },
  criu_cg_mode: { 'IGNORE': 0, 'CG_NONE': 1, 'PROPS': 2, 'SOFT': 3, 'FULL': 4, 'STRICT': 5, 'DEFAULT': 6 },
  criu_network_lock_method: { 'IPTABLES': 1, 'NFTABLES': 2, 'SKIP': 3 },
  criu_pre_dump_mode: { 'SPLICE': 1, 'VM_READ': 2 },
  criu_req_type: { 'EMPTY': 0, 'DUMP': 1, 'RESTORE': 2, 'CHECK': 3, 'PRE_DUMP': 4, 'PAGE_SERVER': 5, 'NOTIFY': 6, 'CPUINFO_DUMP': 7, 'CPUINFO_CHECK': 8, 'FEATURE_CHECK': 9, 'VERSION': 10, 'WAIT_PID': 11, 'PAGE_SERVER_CHLD': 12, 'SINGLE_PRE_DUMP': 13 },
  endianness: { 'BIGENDIAN': 0, 'LITTLEENDIAN': 1 },
  fd_types: { 'UND': 0, 'REG': 1, 'PIPE': 2, 'FIFO': 3, 'INETSK': 4, 'UNIXSK': 5, 'EVENTFD': 6, 'EVENTPOLL': 7, 'INOTIFY': 8, 'SIGNALFD': 9, 'PACKETSK': 10, 'TTY': 11, 'FANOTIFY': 12, 'NETLINKSK': 13, 'NS': 14, 'TUNF': 15, 'EXT': 16, 'TIMERFD': 17, 'MEMFD': 18, 'BPFMAP': 19, 'PIDFD': 20, 'CTL_TTY': 65534, 'AUTOFS_PIPE': 65535 },
  fh_entry_sizes: { 'min_entries': 16 },
  fstype: { 'UNSUPPORTED': 0, 'PROC': 1, 'SYSFS': 2, 'DEVTMPFS': 3, 'BINFMT_MISC': 4, 'TMPFS': 5, 'DEVPTS': 6, 'SIMFS': 7, 'PSTORE': 8, 'SECURITYFS': 9, 'FUSECTL': 10, 'DEBUGFS': 11, 'CGROUP': 12, 'AUFS': 13, 'MQUEUE': 14, 'FUSE': 15, 'AUTO': 16, 'OVERLAYFS': 17, 'AUTOFS': 18, 'TRACEFS': 19, 'CGROUP2': 23 },
  lsmtype: { 'NO_LSM': 0, 'SELINUX': 1, 'APPARMOR': 2 },
  march: { 'UNKNOWN': 0, 'X86_64': 1, 'ARM': 2, 'AARCH64': 3, 'PPC64': 4, 'S390': 5, 'MIPS': 6, 'LOONGARCH64': 7, 'RISCV64': 8 },
  mark_type: { 'INODE': 1, 'MOUNT': 2 },
  nd_type: { 'LOOPBACK': 1, 'VETH': 2, 'TUN': 3, 'EXTLINK': 4, 'VENET': 5, 'BRIDGE': 6, 'MACVLAN': 7, 'SIT': 8 },
  remap_type: { 'LINKED': 0, 'GHOST': 1, 'PROCFS': 2 },
  seccomp_mode: { 'disabled': 0, 'strict': 1, 'filter': 2 },
  sk_shutdown: { 'NONE': 0, 'READ': 1, 'WRITE': 2, 'BOTH': 3 },
  user_x86_regs_mode: { 'NATIVE': 1, 'COMPAT': 2 },
  vendor: { 'UNKNOWN': 0, 'INTEL': 1, 'AMD': 2 },
};

export type AaNamespace = {
  name: string;
  policies: AaPolicy[];
  namespaces: AaNamespace[];
};

export type AaPolicy = {
  name: string;
  blob: Uint8Array;
};

export type AioRingEntry = {
  id: bigint;
  nr_req: number;
  ring_len: number;
};

export type ApparmorEntry = {
  namespaces: AaNamespace[];
};

export type AutofsEntry = {
  fd: number;
  pgrp: number;
  timeout: number;
  minproto: number;
  maxproto: number;
  mode: number;
  uid?: number | undefined;
  gid?: number | undefined;
  read_fd?: number | undefined;
};

export type BinfmtMiscEntry = {
  name: string;
  enabled: boolean;
  interpreter: string;
  flags?: string | undefined;
  extension?: string | undefined;
  magic?: string | undefined;
  mask?: string | undefined;
  offset?: number | undefined;
};

export type BpfmapDataEntry = {
  map_id: number;
  keys_bytes: number;
  values_bytes: number;
  count: number;
};

export type BpfmapFileEntry = {
  id: number;
  flags: number;
  pos: bigint;
  fown: FownEntry;
  map_type: number;
  key_size: number;
  value_size: number;
  map_id: number;
  max_entries: number;
  map_flags: number;
  memlock: bigint;
  frozen: boolean;
  map_name: string;
  ifindex: number;
  mnt_id?: number | undefined;
  map_extra?: bigint | undefined;
};

export type CgControllerEntry = {
  cnames: string[];
  dirs: CgroupDirEntry[];
  is_threaded?: boolean | undefined;
};

export type CgMemberEntry = {
  name: string;
  path: string;
  cgns_prefix?: number | undefined;
};

export type CgSetEntry = {
  id: number;
  ctls: CgMemberEntry[];
};

export type CgroupDirEntry = {
  dir_name: string;
  children: CgroupDirEntry[];
  properties: CgroupPropEntry[];
  dir_perms?: CgroupPerms | undefined;
};

export type CgroupEntry = {
  sets: CgSetEntry[];
  controllers: CgControllerEntry[];
};

export type CgroupPerms = {
  mode: number;
  uid: number;
  gid: number;
};

export type CgroupPropEntry = {
  name: string;
  value: string;
  perms?: CgroupPerms | undefined;
};

export type CgroupRoot = {
  ctrl?: string | undefined;
  path: string;
};

export type CoreEntry = {
  mtype: number;
  thread_info?: ThreadInfoX86 | undefined;
  tc?: TaskCoreEntry | undefined;
  ids?: TaskKobjIdsEntry | undefined;
  thread_core?: ThreadCoreEntry | undefined;
  ti_arm?: ThreadInfoArm | undefined;
  ti_aarch64?: ThreadInfoAarch64 | undefined;
  ti_ppc64?: ThreadInfoPpc64 | undefined;
  ti_s390?: ThreadInfoS390 | undefined;
  ti_mips?: ThreadInfoMips | undefined;
  ti_loongarch64?: ThreadInfoLoongarch64 | undefined;
  ti_riscv64?: ThreadInfoRiscv64 | undefined;
};

export type CpuinfoEntry = {
  x86_entry: CpuinfoX86Entry[];
  ppc64_entry: CpuinfoPpc64Entry[];
  s390_entry: CpuinfoS390Entry[];
};

export type CpuinfoPpc64Entry = {
  endian: number;
  hwcap: bigint[];
};

export type CpuinfoS390Entry = {
  hwcap: bigint[];
};

export type CpuinfoX86Entry = {
  vendor_id: number;
  cpu_family: number;
  model: number;
  stepping: number;
  capability_ver: number;
  capability: number[];
  model_id?: string | undefined;
  xfeatures_mask?: bigint | undefined;
  xsave_size?: number | undefined;
  xsave_size_max?: number | undefined;
};

export type CredsEntry = {
  uid: number;
  gid: number;
  euid: number;
  egid: number;
  suid: number;
  sgid: number;
  fsuid: number;
  fsgid: number;
  cap_inh: number[];
  cap_prm: number[];
  cap_eff: number[];
  cap_bnd: number[];
  secbits: number;
  groups: number[];
  lsm_profile?: string | undefined;
  lsm_sockcreate?: string | undefined;
  apparmor_data?: Uint8Array | undefined;
  no_new_privs?: number | undefined;
  cap_amb: number[];
};

export type CriuDumpResp = {
  restored?: boolean | undefined;
};

export type CriuFeatures = {
  mem_track?: boolean | undefined;
  lazy_pages?: boolean | undefined;
  pidfd_store?: boolean | undefined;
};

export type CriuNotify = {
  script?: string | undefined;
  pid?: number | undefined;
};

export type CriuOpts = {
  images_dir_fd: number;
  pid?: number | undefined;
  leave_running?: boolean | undefined;
  ext_unix_sk?: boolean | undefined;
  tcp_established?: boolean | undefined;
  evasive_devices?: boolean | undefined;
  shell_job?: boolean | undefined;
  file_locks?: boolean | undefined;
  log_level?: number | undefined;
  log_file?: string | undefined;
  ps?: CriuPageServerInfo | undefined;
  notify_scripts?: boolean | undefined;
  root?: string | undefined;
  parent_img?: string | undefined;
  track_mem?: boolean | undefined;
  auto_dedup?: boolean | undefined;
  work_dir_fd?: number | undefined;
  link_remap?: boolean | undefined;
  veths: CriuVethPair[];
  cpu_cap?: number | undefined;
  force_irmap?: boolean | undefined;
  exec_cmd: string[];
  ext_mnt: ExtMountMap[];
  manage_cgroups?: boolean | undefined;
  cg_root: CgroupRoot[];
  rst_sibling?: boolean | undefined;
  inherit_fd: InheritFd[];
  auto_ext_mnt?: boolean | undefined;
  ext_sharing?: boolean | undefined;
  ext_masters?: boolean | undefined;
  skip_mnt: string[];
  enable_fs: string[];
  unix_sk_ino: UnixSk[];
  manage_cgroups_mode?: number | undefined;
  ghost_limit?: number | undefined;
  irmap_scan_paths: string[];
  external: string[];
  empty_ns?: number | undefined;
  join_ns: JoinNamespace[];
  cgroup_props?: string | undefined;
  cgroup_props_file?: string | undefined;
  cgroup_dump_controller: string[];
  freeze_cgroup?: string | undefined;
  timeout?: number | undefined;
  tcp_skip_in_flight?: boolean | undefined;
  weak_sysctls?: boolean | undefined;
  lazy_pages?: boolean | undefined;
  status_fd?: number | undefined;
  orphan_pts_master?: boolean | undefined;
  config_file?: string | undefined;
  tcp_close?: boolean | undefined;
  lsm_profile?: string | undefined;
  tls_cacert?: string | undefined;
  tls_cacrl?: string | undefined;
  tls_cert?: string | undefined;
  tls_key?: string | undefined;
  tls?: boolean | undefined;
  tls_no_cn_verify?: boolean | undefined;
  cgroup_yard?: string | undefined;
  pre_dump_mode?: number | undefined;
  pidfd_store_sk?: number | undefined;
  lsm_mount_context?: string | undefined;
  network_lock?: number | undefined;
  mntns_compat_mode?: boolean | undefined;
  skip_file_rwx_check?: boolean | undefined;
  unprivileged?: boolean | undefined;
  images_dir?: string | undefined;
  leave_stopped?: boolean | undefined;
  display_stats?: boolean | undefined;
  log_to_stderr?: boolean | undefined;
};

export type CriuPageServerInfo = {
  address?: string | undefined;
  port?: number | undefined;
  pid?: number | undefined;
  fd?: number | undefined;
};

export type CriuReq = {
  type: number;
  opts?: CriuOpts | undefined;
  notify_success?: boolean | undefined;
  keep_open?: boolean | undefined;
  features?: CriuFeatures | undefined;
  pid?: number | undefined;
};

export type CriuResp = {
  type: number;
  success: boolean;
  dump?: CriuDumpResp | undefined;
  restore?: CriuRestoreResp | undefined;
  notify?: CriuNotify | undefined;
  ps?: CriuPageServerInfo | undefined;
  cr_errno?: number | undefined;
  features?: CriuFeatures | undefined;
  cr_errmsg?: string | undefined;
  version?: CriuVersion | undefined;
  status?: number | undefined;
};

export type CriuRestoreResp = {
  pid: number;
};

export type CriuVersion = {
  major_number: number;
  minor_number: number;
  gitid?: string | undefined;
  sublevel?: number | undefined;
  extra?: number | undefined;
  name?: string | undefined;
};

export type CriuVethPair = {
  if_in: string;
  if_out: string;
};

export type CrtsChecksumEntry = {
  name: string;
  size: bigint;
  sums_bytes: number;
  self: number;
};

export type CrtsDeadlineEntry = {
  runtime: bigint;
  deadline: bigint;
  period: bigint;
  flags?: number | undefined;
};

export type CrtsDispatchEntry = {
  offset: bigint;
  length: bigint;
  selector: bigint;
};

export type CrtsGhostEntry = {
  atim_nsec: number;
  mtim_nsec: number;
  xattrs: CrtsXattrEntry[];
  inode_flags?: number | undefined;
  project?: number | undefined;
};

export type CrtsMempolicyEntry = {
  start: bigint;
  end: bigint;
  mode: number;
  nodes: bigint[];
};

export type CrtsPacketEntry = {
  sender?: Uint8Array | undefined;
  pid?: number | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  urgent?: number | undefined;
};

export type CrtsPipePacket = {
  offset: number;
  length: number;
};

export type CrtsSocketOption = {
  name: number;
  value: Uint8Array;
};

export type CrtsSysvEntry = {
  id: number;
  key: number;
  size: bigint;
  mode: number;
  uid: number;
  gid: number;
  cpid: number;
  boot_id: string;
  huge_flag?: number | undefined;
};

export type CrtsThreadEntry = {
  timer_slack_ns?: bigint | undefined;
  cpu_affinity?: Uint8Array | undefined;
  io_priority?: number | undefined;
  coredump_filter?: number | undefined;
  mdwe?: number | undefined;
  sched_reset_on_fork?: boolean | undefined;
  deadline?: CrtsDeadlineEntry | undefined;
  sched_slice_ns?: bigint | undefined;
  util_min?: number | undefined;
  util_max?: number | undefined;
  mem_policy?: number | undefined;
  mem_nodes?: Uint8Array | undefined;
  store_bypass?: number | undefined;
  indirect_branch?: number | undefined;
  l1d_flush?: number | undefined;
  tsc_faults?: boolean | undefined;
  cpuid_faults?: boolean | undefined;
  memory_failure?: number | undefined;
  syscall_dispatch?: CrtsDispatchEntry | undefined;
  thp_except_advised?: boolean | undefined;
  memory_merge?: boolean | undefined;
  autogroup_nice?: number | undefined;
  io_flusher?: boolean | undefined;
  stop_untold?: boolean | undefined;
  xcomp_permission?: bigint | undefined;
  fs?: FsEntry | undefined;
  exit_signal?: number | undefined;
  continue_untold?: boolean | undefined;
  personality?: number | undefined;
  seccomp_common?: number | undefined;
};

export type CrtsTrackedEntry = {
  pid: number;
  uffd: number;
  pidfd: number;
};

export type CrtsTrackerEntry = {
  holder_pid: number;
  holder_start: bigint;
  tasks: CrtsTrackedEntry[];
};

export type CrtsUnixEntry = {
  peer_gone?: boolean | undefined;
  peer_name?: Uint8Array | undefined;
  pending_error?: boolean | undefined;
  cred_pid?: number | undefined;
  cred_uid?: number | undefined;
  cred_gid?: number | undefined;
  options: CrtsSocketOption[];
  waiting: number[];
  path?: string | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  mode?: number | undefined;
  maker_pid?: number | undefined;
};

export type CrtsXattrEntry = {
  name: string;
  value: Uint8Array;
};

export type DumpStatsEntry = {
  freezing_time: number;
  frozen_time: number;
  memdump_time: number;
  memwrite_time: number;
  pages_scanned: bigint;
  pages_skipped_parent: bigint;
  pages_written: bigint;
  irmap_resolve?: number | undefined;
  pages_lazy: bigint;
  page_pipes?: bigint | undefined;
  page_pipe_bufs?: bigint | undefined;
  shpages_scanned?: bigint | undefined;
  shpages_skipped_parent?: bigint | undefined;
  shpages_written?: bigint | undefined;
};

export type EventfdFileEntry = {
  id: number;
  flags: number;
  fown: FownEntry;
  counter: bigint;
  crts_semaphore?: boolean | undefined;
};

export type EventpollFileEntry = {
  id: number;
  flags: number;
  fown: FownEntry;
  tfd: EventpollTfdEntry[];
  crts_params?: Uint8Array | undefined;
};

export type EventpollTfdEntry = {
  id: number;
  tfd: number;
  events: number;
  data: bigint;
  dev?: number | undefined;
  inode?: bigint | undefined;
  pos?: bigint | undefined;
  crts_number?: number | undefined;
  crts_file?: number | undefined;
  crts_fired?: number | undefined;
};

export type ExtFileEntry = {
  id: number;
  fown: FownEntry;
  crts_plugin?: string | undefined;
  crts_data?: Uint8Array | undefined;
};

export type ExtMountMap = {
  key: string;
  val: string;
};

export type FanotifyFileEntry = {
  id: number;
  flags: number;
  fown: FownEntry;
  faflags: number;
  evflags: number;
  mark: FanotifyMarkEntry[];
};

export type FanotifyInodeMarkEntry = {
  i_ino: bigint;
  f_handle: FhEntry;
};

export type FanotifyMarkEntry = {
  id: number;
  type: number;
  mflags: number;
  mask: number;
  ignored_mask: number;
  s_dev: number;
  ie?: FanotifyInodeMarkEntry | undefined;
  me?: FanotifyMountMarkEntry | undefined;
};

export type FanotifyMountMarkEntry = {
  mnt_id: number;
  path?: string | undefined;
};

export type FdinfoEntry = {
  id: number;
  flags: number;
  type: number;
  fd: number;
  xattr_security_selinux?: string | undefined;
};

export type FhEntry = {
  bytes: number;
  type: number;
  handle: bigint[];
  path?: string | undefined;
  mnt_id?: number | undefined;
};

export type FifoEntry = {
  id: number;
  pipe_id: number;
  regf_id?: number | undefined;
  crts_unmet?: boolean | undefined;
};

export type FileEntry = {
  type: number;
  id: number;
  reg?: RegFileEntry | undefined;
  isk?: InetSkEntry | undefined;
  nsf?: NsFileEntry | undefined;
  psk?: PacketSockEntry | undefined;
  nlsk?: NetlinkSkEntry | undefined;
  efd?: EventfdFileEntry | undefined;
  epfd?: EventpollFileEntry | undefined;
  sgfd?: SignalfdEntry | undefined;
  tunf?: TunfileEntry | undefined;
  tfd?: TimerfdEntry | undefined;
  ify?: InotifyFileEntry | undefined;
  ffy?: FanotifyFileEntry | undefined;
  ext?: ExtFileEntry | undefined;
  usk?: UnixSkEntry | undefined;
  fifo?: FifoEntry | undefined;
  pipe?: PipeEntry | undefined;
  tty?: TtyFileEntry | undefined;
  memfd?: MemfdFileEntry | undefined;
  bpf?: BpfmapFileEntry | undefined;
  pidfd?: PidfdEntry | undefined;
};

export type FileLockEntry = {
  flag: number;
  type: number;
  pid: number;
  fd: number;
  start: bigint;
  len: bigint;
};

export type FilePermsEntry = {
  mode: number;
  uid: number;
  gid: number;
};

export type FownEntry = {
  uid: number;
  euid: number;
  signum: number;
  pid_type: number;
  pid: number;
};

export type FsEntry = {
  cwd_id: number;
  root_id: number;
  umask?: number | undefined;
};

export type GhostChunkEntry = {
  len: bigint;
  off: bigint;
};

export type GhostFileEntry = {
  uid: number;
  gid: number;
  mode: number;
  dev?: number | undefined;
  ino?: bigint | undefined;
  rdev?: number | undefined;
  atim?: Timeval | undefined;
  mtim?: Timeval | undefined;
  chunks?: boolean | undefined;
  size?: bigint | undefined;
  symlnk_target?: string | undefined;
  crts?: CrtsGhostEntry | undefined;
};

export type ImgStreamerReplyEntry = {
  exists: boolean;
};

export type ImgStreamerRequestEntry = {
  filename: string;
};

export type InetSkEntry = {
  id: number;
  ino: number;
  family: number;
  type: number;
  proto: number;
  state: number;
  src_port: number;
  dst_port: number;
  flags: number;
  backlog: number;
  src_addr: number[];
  dst_addr: number[];
  fown: FownEntry;
  opts: SkOptsEntry;
  v6only?: boolean | undefined;
  ip_opts?: IpOptsEntry | undefined;
  ifname?: string | undefined;
  ns_id?: number | undefined;
  shutdown?: number | undefined;
  tcp_opts?: TcpOptsEntry | undefined;
};

export type InheritFd = {
  key: string;
  fd: number;
};

export type InotifyFileEntry = {
  id: number;
  flags: number;
  fown: FownEntry;
  wd: InotifyWdEntry[];
  crts_queued_bytes?: number | undefined;
};

export type InotifyWdEntry = {
  id: number;
  i_ino: bigint;
  mask: number;
  ignored_mask: number;
  s_dev: number;
  wd: number;
  f_handle: FhEntry;
};

export type InventoryEntry = {
  img_version: number;
  fdinfo_per_id?: boolean | undefined;
  root_ids?: TaskKobjIdsEntry | undefined;
  ns_per_id?: boolean | undefined;
  root_cg_set?: number | undefined;
  lsmtype?: number | undefined;
  dump_uptime?: bigint | undefined;
  pre_dump_mode?: number | undefined;
  tcp_close?: boolean | undefined;
  network_lock_method?: number | undefined;
  plugins_entry?: PluginsEntry | undefined;
  dump_criu_run_id?: string | undefined;
  allow_uprobes?: boolean | undefined;
  crts_tracker?: CrtsTrackerEntry | undefined;
};

export type IpOptsEntry = {
  freebind?: boolean | undefined;
  raw?: IpOptsRawEntry | undefined;
  pktinfo?: boolean | undefined;
  tos?: number | undefined;
  ttl?: number | undefined;
};

export type IpOptsRawEntry = {
  hdrincl?: boolean | undefined;
  nodefrag?: boolean | undefined;
  checksum?: boolean | undefined;
  icmpv_filter: number[];
};

export type IpcDescEntry = {
  key: number;
  uid: number;
  gid: number;
  cuid: number;
  cgid: number;
  mode: number;
  id: number;
};

export type IpcMsg = {
  mtype: bigint;
  msize: number;
};

export type IpcMsgEntry = {
  desc: IpcDescEntry;
  qbytes: number;
  qnum: number;
};

export type IpcSemEntry = {
  desc: IpcDescEntry;
  nsems: number;
};

export type IpcShmEntry = {
  desc: IpcDescEntry;
  size: bigint;
  in_pagemaps?: boolean | undefined;
  hugetlb_flag?: number | undefined;
};

export type IpcVarEntry = {
  sem_ctls: number[];
  msg_ctlmax: number;
  msg_ctlmnb: number;
  msg_ctlmni: number;
  auto_msgmni: number;
  shm_ctlmax: bigint;
  shm_ctlall: bigint;
  shm_ctlmni: number;
  shm_rmid_forced: number;
  mq_queues_max: number;
  mq_msg_max: number;
  mq_msgsize_max: number;
  mq_msg_default?: number | undefined;
  mq_msgsize_default?: number | undefined;
  msg_next_id?: number | undefined;
  sem_next_id?: number | undefined;
  shm_next_id?: number | undefined;
};

export type IrmapCacheEntry = {
  dev: number;
  inode: bigint;
  path: string;
};

export type ItimerEntry = {
  isec: bigint;
  iusec: bigint;
  vsec: bigint;
  vusec: bigint;
};

export type JoinNamespace = {
  ns: string;
  ns_file: string;
  extra_opt?: string | undefined;
};

export type MacvlanLinkEntry = {
  mode: number;
  flags?: number | undefined;
};

export type MemfdFileEntry = {
  id: number;
  flags: number;
  pos: bigint;
  fown: FownEntry;
  inode_id: number;
};

export type MemfdInodeEntry = {
  name: string;
  uid: number;
  gid: number;
  size: bigint;
  shmid: number;
  seals: number;
  inode_id: bigint;
  hugetlb_flag?: number | undefined;
  mode?: number | undefined;
  crts_anonymous?: boolean | undefined;
};

export type MmEntry = {
  mm_start_code: bigint;
  mm_end_code: bigint;
  mm_start_data: bigint;
  mm_end_data: bigint;
  mm_start_stack: bigint;
  mm_start_brk: bigint;
  mm_brk: bigint;
  mm_arg_start: bigint;
  mm_arg_end: bigint;
  mm_env_start: bigint;
  mm_env_end: bigint;
  exe_file_id: number;
  mm_saved_auxv: bigint[];
  vmas: VmaEntry[];
  dumpable?: number | undefined;
  aios: AioRingEntry[];
  thp_disabled?: boolean | undefined;
  crts_saved_auxv: bigint[];
  crts_pkeys?: number | undefined;
  crts_execute_only_pkey?: number | undefined;
  crts_lock_future?: number | undefined;
  crts_mempolicies: CrtsMempolicyEntry[];
};

export type MntEntry = {
  fstype: number;
  mnt_id: number;
  root_dev: number;
  parent_mnt_id: number;
  flags: number;
  root: string;
  mountpoint: string;
  source: string;
  options: string;
  shared_id?: number | undefined;
  master_id?: number | undefined;
  with_plugin?: boolean | undefined;
  ext_mount?: boolean | undefined;
  fsname?: string | undefined;
  internal_sharing?: boolean | undefined;
  deleted?: boolean | undefined;
  sb_flags?: number | undefined;
  ext_key?: string | undefined;
};

export type NetDeviceEntry = {
  type: number;
  ifindex: number;
  mtu: number;
  flags: number;
  name: string;
  tun?: TunLinkEntry | undefined;
  address?: Uint8Array | undefined;
  conf: number[];
  conf4: SysctlEntry[];
  conf6: SysctlEntry[];
  macvlan?: MacvlanLinkEntry | undefined;
  peer_ifindex?: number | undefined;
  peer_nsid?: number | undefined;
  master?: number | undefined;
  sit?: SitEntry | undefined;
};

export type NetlinkSkEntry = {
  id: number;
  ino: number;
  protocol: number;
  state: number;
  flags: number;
  portid: number;
  groups: number[];
  dst_portid: number;
  dst_group: number;
  fown: FownEntry;
  opts: SkOptsEntry;
  ns_id?: number | undefined;
};

export type NetnsEntry = {
  def_conf: number[];
  all_conf: number[];
  def_conf4: SysctlEntry[];
  all_conf4: SysctlEntry[];
  def_conf6: SysctlEntry[];
  all_conf6: SysctlEntry[];
  nsids: NetnsId[];
  ext_key?: string | undefined;
  unix_conf: SysctlEntry[];
  ipv4_sysctl: SysctlEntry[];
};

export type NetnsId = {
  target_ns_id: number;
  netnsid_value: number;
};

export type NsFileEntry = {
  id: number;
  ns_id: number;
  ns_cflag: number;
  flags: number;
};

export type PacAddressKeys = {
  apiakey_lo: bigint;
  apiakey_hi: bigint;
  apibkey_lo: bigint;
  apibkey_hi: bigint;
  apdakey_lo: bigint;
  apdakey_hi: bigint;
  apdbkey_lo: bigint;
  apdbkey_hi: bigint;
  pac_enabled_key: bigint;
};

export type PacGenericKeys = {
  apgakey_lo: bigint;
  apgakey_hi: bigint;
};

export type PacKeys = {
  pac_address_keys?: PacAddressKeys | undefined;
  pac_generic_keys?: PacGenericKeys | undefined;
};

export type PacketMclist = {
  index: number;
  type: number;
  addr: Uint8Array;
};

export type PacketRing = {
  block_size: number;
  block_nr: number;
  frame_size: number;
  frame_nr: number;
  retire_tmo: number;
  sizeof_priv: number;
  features: number;
};

export type PacketSockEntry = {
  id: number;
  type: number;
  protocol: number;
  flags: number;
  ifindex: number;
  fown: FownEntry;
  opts: SkOptsEntry;
  version: number;
  reserve: number;
  aux_data: boolean;
  orig_dev: boolean;
  vnet_hdr: boolean;
  loss: boolean;
  timestamp: number;
  copy_thresh: number;
  mclist: PacketMclist[];
  fanout?: number | undefined;
  rx_ring?: PacketRing | undefined;
  tx_ring?: PacketRing | undefined;
  ns_id?: number | undefined;
};

export type PagemapEntry = {
  vaddr: bigint;
  compat_nr_pages: number;
  in_parent?: boolean | undefined;
  flags?: number | undefined;
  nr_pages?: bigint | undefined;
  crts_pages_id?: number | undefined;
  crts_page?: bigint | undefined;
};

export type PagemapHead = {
  pages_id: number;
  crts_pages_id?: number | undefined;
};

export type PidfdEntry = {
  id: number;
  ino: number;
  flags: number;
  nspid: number;
  fown: FownEntry;
  crts_exit_status?: number | undefined;
};

export type PidnsEntry = {
  ext_key?: string | undefined;
};

export type PipeDataEntry = {
  pipe_id: number;
  bytes: number;
  size?: number | undefined;
  crts_packets: CrtsPipePacket[];
};

export type PipeEntry = {
  id: number;
  pipe_id: number;
  flags: number;
  fown: FownEntry;
  crts_uid?: number | undefined;
  crts_gid?: number | undefined;
  crts_mode?: number | undefined;
  crts_outside?: boolean | undefined;
};

export type PluginsEntry = {
  plugins: string[];
};

export type PosixTimerEntry = {
  it_id: number;
  clock_id: number;
  si_signo: number;
  it_sigev_notify: number;
  sival_ptr: bigint;
  overrun: number;
  isec: bigint;
  insec: bigint;
  vsec: bigint;
  vnsec: bigint;
  notify_thread_id?: number | undefined;
};

export type PstreeEntry = {
  pid: number;
  ppid: number;
  pgid: number;
  sid: number;
  threads: number[];
};

export type RegFileEntry = {
  id: number;
  flags: number;
  pos: bigint;
  fown: FownEntry;
  name: string;
  mnt_id?: number | undefined;
  size?: bigint | undefined;
  ext?: boolean | undefined;
  mode?: number | undefined;
  build_id: number[];
  checksum?: number | undefined;
  checksum_config?: number | undefined;
  checksum_parameter?: number | undefined;
  crts_write_hint?: number | undefined;
};

export type RemapFilePathEntry = {
  orig_id: number;
  remap_id: number;
  remap_type?: number | undefined;
};

export type RestoreStatsEntry = {
  pages_compared: bigint;
  pages_skipped_cow: bigint;
  forking_time: number;
  restore_time: number;
  pages_restored?: bigint | undefined;
};

export type RlimitEntry = {
  cur: bigint;
  max: bigint;
};

export type RseqEntry = {
  rseq_abi_pointer: bigint;
  rseq_abi_size: number;
  signature: number;
  rseq_cs_pointer?: bigint | undefined;
};

export type SaEntry = {
  sigaction: bigint;
  flags: bigint;
  restorer: bigint;
  mask: bigint;
  compat_sigaction?: boolean | undefined;
  mask_extended?: bigint | undefined;
};

export type ScmEntry = {
  type: number;
  rights: number[];
};

export type SeccompEntry = {
  seccomp_filters: SeccompFilter[];
};

export type SeccompFilter = {
  filter: Uint8Array;
  prev?: number | undefined;
  flags?: number | undefined;
};

export type SiginfoEntry = {
  siginfo: Uint8Array;
};

export type SignalQueueEntry = {
  signals: SiginfoEntry[];
};

export type SignalfdEntry = {
  id: number;
  flags: number;
  fown: FownEntry;
  sigmask: bigint;
};

export type SitEntry = {
  link?: number | undefined;
  local: number[];
  remote: number[];
  ttl?: number | undefined;
  tos?: number | undefined;
  pmtudisc?: boolean | undefined;
  proto?: number | undefined;
  flags?: number | undefined;
  encap_type?: number | undefined;
  encap_flags?: number | undefined;
  encap_sport?: number | undefined;
  encap_dport?: number | undefined;
  rd_prefixlen?: number | undefined;
  rd_prefix: number[];
  relay_prefixlen?: number | undefined;
  relay_prefix: number[];
};

export type SkOptsEntry = {
  so_sndbuf: number;
  so_rcvbuf: number;
  so_snd_tmo_sec: bigint;
  so_snd_tmo_usec: bigint;
  so_rcv_tmo_sec: bigint;
  so_rcv_tmo_usec: bigint;
  reuseaddr?: boolean | undefined;
  so_priority?: number | undefined;
  so_rcvlowat?: number | undefined;
  so_mark?: number | undefined;
  so_passcred?: boolean | undefined;
  so_passsec?: boolean | undefined;
  so_dontroute?: boolean | undefined;
  so_no_check?: boolean | undefined;
  so_bound_dev?: string | undefined;
  so_filter: bigint[];
  so_reuseport?: boolean | undefined;
  so_broadcast?: boolean | undefined;
  so_keepalive?: boolean | undefined;
  tcp_keepcnt?: number | undefined;
  tcp_keepidle?: number | undefined;
  tcp_keepintvl?: number | undefined;
  so_oobinline?: number | undefined;
  so_linger?: number | undefined;
  so_buf_lock?: number | undefined;
};

export type SkPacketEntry = {
  id_for: number;
  length: number;
  scm: ScmEntry[];
  crts?: CrtsPacketEntry | undefined;
};

export type StatsEntry = {
  dump?: DumpStatsEntry | undefined;
  restore?: RestoreStatsEntry | undefined;
};

export type SysctlEntry = {
  type: number;
  iarg?: number | undefined;
  sarg?: string | undefined;
};

export type TaskCoreEntry = {
  task_state: number;
  exit_code: number;
  personality: number;
  flags: number;
  blk_sigset: bigint;
  comm: string;
  timers?: TaskTimersEntry | undefined;
  rlimits?: TaskRlimitsEntry | undefined;
  cg_set?: number | undefined;
  signals_s?: SignalQueueEntry | undefined;
  old_seccomp_mode?: number | undefined;
  old_seccomp_filter?: number | undefined;
  loginuid?: number | undefined;
  oom_score_adj?: number | undefined;
  sigactions: SaEntry[];
  child_subreaper?: boolean | undefined;
  blk_sigset_extended?: bigint | undefined;
  stop_signo?: number | undefined;
  membarrier_registration_mask?: number | undefined;
};

export type TaskKobjIdsEntry = {
  vm_id: number;
  files_id: number;
  fs_id: number;
  sighand_id: number;
  pid_ns_id?: number | undefined;
  net_ns_id?: number | undefined;
  ipc_ns_id?: number | undefined;
  uts_ns_id?: number | undefined;
  mnt_ns_id?: number | undefined;
  user_ns_id?: number | undefined;
  cgroup_ns_id?: number | undefined;
  time_ns_id?: number | undefined;
};

export type TaskRlimitsEntry = {
  rlimits: RlimitEntry[];
};

export type TaskTimersEntry = {
  real: ItimerEntry;
  virt: ItimerEntry;
  prof: ItimerEntry;
  posix: PosixTimerEntry[];
};

export type TcpOptsEntry = {
  cork?: boolean | undefined;
  nodelay?: boolean | undefined;
  keepcnt?: number | undefined;
  keepidle?: number | undefined;
  keepintvl?: number | undefined;
};

export type TcpStreamEntry = {
  inq_len: number;
  inq_seq: number;
  outq_len: number;
  outq_seq: number;
  opt_mask: number;
  snd_wscale: number;
  mss_clamp: number;
  rcv_wscale?: number | undefined;
  timestamp?: number | undefined;
  cork?: boolean | undefined;
  nodelay?: boolean | undefined;
  unsq_len?: number | undefined;
  snd_wl1?: number | undefined;
  snd_wnd?: number | undefined;
  max_window?: number | undefined;
  rcv_wnd?: number | undefined;
  rcv_wup?: number | undefined;
};

export type TermiosEntry = {
  c_iflag: number;
  c_oflag: number;
  c_cflag: number;
  c_lflag: number;
  c_line: number;
  c_ispeed: number;
  c_ospeed: number;
  c_cc: number[];
};

export type ThreadCoreEntry = {
  futex_rla: bigint;
  futex_rla_len: number;
  sched_nice?: number | undefined;
  sched_policy?: number | undefined;
  sched_prio?: number | undefined;
  blk_sigset?: bigint | undefined;
  sas?: ThreadSasEntry | undefined;
  pdeath_sig?: number | undefined;
  signals_p?: SignalQueueEntry | undefined;
  creds?: CredsEntry | undefined;
  seccomp_mode?: number | undefined;
  seccomp_filter?: number | undefined;
  comm?: string | undefined;
  blk_sigset_extended?: bigint | undefined;
  rseq_entry?: RseqEntry | undefined;
  cg_set?: number | undefined;
  crts?: CrtsThreadEntry | undefined;
};

export type ThreadInfoAarch64 = {
  clear_tid_addr: bigint;
  tls: bigint;
  gpregs: UserAarch64RegsEntry;
  fpsimd: UserAarch64FpsimdContextEntry;
  pac_keys?: PacKeys | undefined;
};

export type ThreadInfoArm = {
  clear_tid_addr: bigint;
  tls: number;
  gpregs: UserArmRegsEntry;
  fpstate: UserArmVfpstateEntry;
};

export type ThreadInfoLoongarch64 = {
  clear_tid_addr: bigint;
  tls: bigint;
  gpregs: UserLoongarch64GpregsEntry;
  fpregs: UserLoongarch64FpregsEntry;
};

export type ThreadInfoMips = {
  clear_tid_addr: bigint;
  tls: bigint;
  gpregs: UserMipsRegsEntry;
  fpregs: UserMipsFpregsEntry;
};

export type ThreadInfoPpc64 = {
  clear_tid_addr: bigint;
  gpregs: UserPpc64RegsEntry;
  fpstate?: UserPpc64FpstateEntry | undefined;
  vrstate?: UserPpc64VrstateEntry | undefined;
  vsxstate?: UserPpc64VsxstateEntry | undefined;
  tmstate?: UserPpc64TmRegsEntry | undefined;
};

export type ThreadInfoRiscv64 = {
  clear_tid_addr: bigint;
  tls: bigint;
  gpregs: UserRiscv64RegsEntry;
  fpsimd: UserRiscv64DExtEntry;
};

export type ThreadInfoS390 = {
  clear_tid_addr: bigint;
  gpregs: UserS390RegsEntry;
  fpregs: UserS390FpregsEntry;
  vxrs_low?: UserS390VxrsLowEntry | undefined;
  vxrs_high?: UserS390VxrsHighEntry | undefined;
  gs_cb?: UserS390GsCbEntry | undefined;
  gs_bc?: UserS390GsCbEntry | undefined;
  ri_cb?: UserS390RiEntry | undefined;
};

export type ThreadInfoX86 = {
  clear_tid_addr: bigint;
  gpregs: UserX86RegsEntry;
  fpregs: UserX86FpregsEntry;
  tls: UserDescT[];
};

export type ThreadSasEntry = {
  ss_sp: bigint;
  ss_size: bigint;
  ss_flags: number;
};

export type TimensEntry = {
  monotonic: Timespec;
  boottime: Timespec;
};

export type TimerfdEntry = {
  id: number;
  flags: number;
  fown: FownEntry;
  clockid: number;
  ticks: bigint;
  settime_flags: number;
  vsec: bigint;
  vnsec: bigint;
  isec: bigint;
  insec: bigint;
  crts_expires_sec?: bigint | undefined;
  crts_expires_nsec?: bigint | undefined;
};

export type Timespec = {
  tv_sec: bigint;
  tv_nsec: bigint;
};

export type Timeval = {
  tv_sec: bigint;
  tv_usec: bigint;
};

export type TtyDataEntry = {
  tty_id: number;
  data: Uint8Array;
};

export type TtyFileEntry = {
  id: number;
  tty_info_id: number;
  flags: number;
  fown: FownEntry;
  regf_id?: number | undefined;
};

export type TtyInfoEntry = {
  id: number;
  type: number;
  locked: boolean;
  exclusive: boolean;
  packet_mode: boolean;
  sid: number;
  pgrp: number;
  rdev: number;
  termios?: TermiosEntry | undefined;
  termios_locked?: TermiosEntry | undefined;
  winsize?: WinsizeEntry | undefined;
  pty?: TtyPtyEntry | undefined;
  dev?: number | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
};

export type TtyPtyEntry = {
  index: number;
};

export type TunLinkEntry = {
  flags: number;
  owner: number;
  group: number;
  vnethdr: number;
  sndbuf: number;
};

export type TunfileEntry = {
  id: number;
  netdev?: string | undefined;
  detached?: boolean | undefined;
  ns_id?: number | undefined;
};

export type UidGidExtent = {
  first: number;
  lower_first: number;
  count: number;
};

export type UnixSk = {
  inode: number;
};

export type UnixSkEntry = {
  id: number;
  ino: number;
  type: number;
  state: number;
  flags: number;
  uflags: number;
  backlog: number;
  peer: number;
  fown: FownEntry;
  opts: SkOptsEntry;
  name: Uint8Array;
  shutdown?: number | undefined;
  file_perms?: FilePermsEntry | undefined;
  name_dir?: string | undefined;
  deleted?: boolean | undefined;
  ns_id?: number | undefined;
  mnt_id?: number | undefined;
  crts?: CrtsUnixEntry | undefined;
};

export type UserAarch64FpsimdContextEntry = {
  vregs: bigint[];
  fpsr: number;
  fpcr: number;
};

export type UserAarch64RegsEntry = {
  regs: bigint[];
  sp: bigint;
  pc: bigint;
  pstate: bigint;
};

export type UserArmRegsEntry = {
  r0: number;
  r1: number;
  r2: number;
  r3: number;
  r4: number;
  r5: number;
  r6: number;
  r7: number;
  r8: number;
  r9: number;
  r10: number;
  fp: number;
  ip: number;
  sp: number;
  lr: number;
  pc: number;
  cpsr: number;
  orig_r0: number;
};

export type UserArmVfpstateEntry = {
  vfp_regs: bigint[];
  fpscr: number;
  fpexc: number;
  fpinst: number;
  fpinst2: number;
};

export type UserDescT = {
  entry_number: number;
  base_addr: number;
  limit: number;
  seg_32bit: boolean;
  contents_h: boolean;
  contents_l: boolean;
  read_exec_only: boolean;
  limit_in_pages: boolean;
  seg_not_present: boolean;
  usable: boolean;
};

export type UserLoongarch64FpregsEntry = {
  regs: bigint[];
  fcc: bigint;
  fcsr: number;
};

export type UserLoongarch64GpregsEntry = {
  regs: bigint[];
  pc: bigint;
};

export type UserMipsFpregsEntry = {
  r0: bigint;
  r1: bigint;
  r2: bigint;
  r3: bigint;
  r4: bigint;
  r5: bigint;
  r6: bigint;
  r7: bigint;
  r8: bigint;
  r9: bigint;
  r10: bigint;
  r11: bigint;
  r12: bigint;
  r13: bigint;
  r14: bigint;
  r15: bigint;
  r16: bigint;
  r17: bigint;
  r18: bigint;
  r19: bigint;
  r20: bigint;
  r21: bigint;
  r22: bigint;
  r23: bigint;
  r24: bigint;
  r25: bigint;
  r26: bigint;
  r27: bigint;
  r28: bigint;
  r29: bigint;
  r30: bigint;
  r31: bigint;
  lo: bigint;
  hi: bigint;
  fpu_fcr31: number;
  fpu_id: number;
};

export type UserMipsRegsEntry = {
  r0: bigint;
  r1: bigint;
  r2: bigint;
  r3: bigint;
  r4: bigint;
  r5: bigint;
  r6: bigint;
  r7: bigint;
  r8: bigint;
  r9: bigint;
  r10: bigint;
  r11: bigint;
  r12: bigint;
  r13: bigint;
  r14: bigint;
  r15: bigint;
  r16: bigint;
  r17: bigint;
  r18: bigint;
  r19: bigint;
  r20: bigint;
  r21: bigint;
  r22: bigint;
  r23: bigint;
  r24: bigint;
  r25: bigint;
  r26: bigint;
  r27: bigint;
  r28: bigint;
  r29: bigint;
  r30: bigint;
  r31: bigint;
  lo: bigint;
  hi: bigint;
  cp0_epc: bigint;
  cp0_badvaddr: bigint;
  cp0_status: bigint;
  cp0_cause: bigint;
};

export type UserPpc64FpstateEntry = {
  fpregs: bigint[];
};

export type UserPpc64RegsEntry = {
  gpr: bigint[];
  nip: bigint;
  msr: bigint;
  orig_gpr3: bigint;
  ctr: bigint;
  link: bigint;
  xer: bigint;
  ccr: bigint;
  trap: bigint;
  texasr?: bigint | undefined;
  tfhar?: bigint | undefined;
  tfiar?: bigint | undefined;
};

export type UserPpc64TmRegsEntry = {
  gpregs: UserPpc64RegsEntry;
  fpstate?: UserPpc64FpstateEntry | undefined;
  vrstate?: UserPpc64VrstateEntry | undefined;
  vsxstate?: UserPpc64VsxstateEntry | undefined;
};

export type UserPpc64VrstateEntry = {
  vrregs: bigint[];
  vrsave: number;
};

export type UserPpc64VsxstateEntry = {
  vsxregs: bigint[];
};

export type UserRiscv64DExtEntry = {
  f: bigint[];
  fcsr: number;
};

export type UserRiscv64RegsEntry = {
  pc: bigint;
  ra: bigint;
  sp: bigint;
  gp: bigint;
  tp: bigint;
  t0: bigint;
  t1: bigint;
  t2: bigint;
  s0: bigint;
  s1: bigint;
  a0: bigint;
  a1: bigint;
  a2: bigint;
  a3: bigint;
  a4: bigint;
  a5: bigint;
  a6: bigint;
  a7: bigint;
  s2: bigint;
  s3: bigint;
  s4: bigint;
  s5: bigint;
  s6: bigint;
  s7: bigint;
  s8: bigint;
  s9: bigint;
  s10: bigint;
  s11: bigint;
  t3: bigint;
  t4: bigint;
  t5: bigint;
  t6: bigint;
};

export type UserS390FpregsEntry = {
  fpc: number;
  fprs: bigint[];
};

export type UserS390GsCbEntry = {
  regs: bigint[];
};

export type UserS390RegsEntry = {
  psw_mask: bigint;
  psw_addr: bigint;
  gprs: bigint[];
  acrs: number[];
  orig_gpr2: bigint;
  system_call: number;
};

export type UserS390RiEntry = {
  ri_on: number;
  regs: bigint[];
};

export type UserS390VxrsHighEntry = {
  regs: bigint[];
};

export type UserS390VxrsLowEntry = {
  regs: bigint[];
};

export type UserX86CetEntry = {
  cet: bigint;
  ssp: bigint;
};

export type UserX86FpregsEntry = {
  cwd: number;
  swd: number;
  twd: number;
  fop: number;
  rip: bigint;
  rdp: bigint;
  mxcsr: number;
  mxcsr_mask: number;
  st_space: number[];
  xmm_space: number[];
  padding: number[];
  xsave?: UserX86XsaveEntry | undefined;
};

export type UserX86RegsEntry = {
  r15: bigint;
  r14: bigint;
  r13: bigint;
  r12: bigint;
  bp: bigint;
  bx: bigint;
  r11: bigint;
  r10: bigint;
  r9: bigint;
  r8: bigint;
  ax: bigint;
  cx: bigint;
  dx: bigint;
  si: bigint;
  di: bigint;
  orig_ax: bigint;
  ip: bigint;
  cs: bigint;
  flags: bigint;
  sp: bigint;
  ss: bigint;
  fs_base: bigint;
  gs_base: bigint;
  ds: bigint;
  es: bigint;
  fs: bigint;
  gs: bigint;
  mode?: number | undefined;
};

export type UserX86XsaveEntry = {
  xstate_bv: bigint;
  ymmh_space: number[];
  bndreg_state: bigint[];
  bndcsr_state: bigint[];
  opmask_reg: bigint[];
  zmm_upper: bigint[];
  hi16_zmm: bigint[];
  pkru: number[];
  cet?: UserX86CetEntry | undefined;
  crts_tile_config?: Uint8Array | undefined;
  crts_tile_data?: Uint8Array | undefined;
};

export type UsernsEntry = {
  uid_map: UidGidExtent[];
  gid_map: UidGidExtent[];
};

export type UtsnsEntry = {
  nodename: string;
  domainname: string;
};

export type VmaEntry = {
  start: bigint;
  end: bigint;
  pgoff: bigint;
  shmid: bigint;
  prot: number;
  flags: number;
  status: number;
  fd: bigint;
  madv?: bigint | undefined;
  fdflags?: number | undefined;
  crts_pkey?: number | undefined;
  crts_object_size?: bigint | undefined;
  crts_sysv?: CrtsSysvEntry | undefined;
  crts_state?: number | undefined;
  crts_name?: string | undefined;
};

export type WinsizeEntry = {
  ws_row: number;
  ws_col: number;
  ws_xpixel: number;
  ws_ypixel: number;
};
