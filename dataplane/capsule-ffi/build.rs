//! Finds libdpdk by pkg-config, makes the bindings with bindgen, and compiles the functions that
//! DPDK has inline only.

use std::env;
use std::path::{Path, PathBuf};

use bindgen::EnumVariation;
use bindgen::callbacks::{ItemInfo, ParseCallbacks};

/// The oldest DPDK whose constants have the names used here.
const OLDEST: &str = "21.11";

const FUNCTIONS: &[&str] = &[
    "_rte_.*",
    "numa_node_of_cpu",
    "rte_eal_cleanup",
    "rte_eth_allmulticast_.*able",
    "rte_eth_dev_(adjust_nb_rx_tx_desc|close|configure|get_mtu|get_port_by_name|info_get)",
    "rte_eth_dev_(rss_hash_conf_get|rss_reta_query|rss_reta_update|rx_intr_.*)",
    "rte_eth_dev_(set_mtu|socket_id|start|stop)",
    "rte_eth_(link_get_nowait|macaddr_get|rx_queue_setup|stats_get|tx_queue_setup)",
    "rte_eth_promiscuous_.*able",
    "rte_eth_xstats_get(_names)?",
    "rte_mbuf_best_mempool_ops",
    "rte_mempool_(avail_count|calc_obj_size|create_empty|free|in_use_count|obj_iter)",
    "rte_mempool_(populate_iova|set_ops_byname)",
    "rte_memzone_reserve_aligned",
    "rte_pktmbuf_(free_bulk|init|pool_create|pool_init)",
    "rte_socket_(count|id|id_by_idx)",
    "rte_strerror",
    "rte_thread_(register|set_affinity|unregister)",
    "rte_version",
];

const TYPES: &[&str] = &[
    "rte_cpuset_t",
    "rte_ether_addr",
    "rte_eth_rx_mq_mode",
    "rte_pktmbuf_pool_private",
];

const CONSTANTS: &[&str] = &[
    "CONST_RTE_.*",
    "ETH_RSS_.*",
    "DEV_TX_OFFLOAD_MBUF_FAST_FREE",
    "RTE_MBUF_DEFAULT_BUF_SIZE",
    "RTE_MEMPOOL_F_NO_SPREAD",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_ETH_RETA_GROUP_SIZE",
];

/// Types that bindgen cannot lay out: of packed structures it is told their size only.
const OPAQUE: &[&str] = &["rte_arp.*", "rte_gtp_psc.*", "rte_l2tpv2.*"];

fn main() {
    for file in ["shim.h", "shim.c"] {
        println!("cargo:rerun-if-changed=src/{file}");
    }
    let dpdk = pkg_config::Config::new()
        .atleast_version(OLDEST)
        .probe("libdpdk")
        .unwrap_or_else(|error| {
            panic!(
                "the feature `dpdk` needs DPDK {OLDEST} or later with its headers; on Debian and \
                 Ubuntu: apt-get install libdpdk-dev clang libclang-dev pkg-config\n{error}"
            )
        });
    println!("cargo:rustc-link-lib=numa");
    let flags = compiler_flags(&dpdk);
    bindings(&flags);
    let mut shim = cc::Build::new();
    shim.file("src/shim.c").warnings(false);
    for flag in &flags {
        shim.flag(flag);
    }
    shim.compile("capsule_ffi_shim");
}

/// What the compiler has to be told to read the headers. `-march` says for which processors DPDK
/// was built, and `-include` brings its configuration; pkg-config's crate passes over both.
fn compiler_flags(dpdk: &pkg_config::Library) -> Vec<String> {
    let mut flags: Vec<String> = dpdk
        .include_paths
        .iter()
        .map(|path| format!("-I{}", path.display()))
        .collect();
    // `cpu_set_t`, of which `rte_cpuset_t` is another name, is GNU's.
    flags.extend(["-D_GNU_SOURCE", "-include", "rte_config.h"].map(String::from));
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        flags.push("-march=corei7".into());
    }
    flags
}

/// Takes the prefix off that keeps constants of ours apart from the macros they are made of.
#[derive(Debug)]
struct Unprefixed;

impl ParseCallbacks for Unprefixed {
    fn item_name(&self, item: ItemInfo<'_>) -> Option<String> {
        item.name.strip_prefix("CONST_").map(String::from)
    }
}

fn bindings(flags: &[String]) {
    let mut builder = bindgen::Builder::default()
        .header("src/shim.h")
        .clang_args(flags)
        .derive_default(true)
        .derive_debug(false)
        .layout_tests(false)
        .generate_comments(false)
        .default_enum_style(EnumVariation::NewType {
            is_bitfield: false,
            is_global: false,
        })
        // Written by hand in `src/mbuf.rs`, as its fields have moved into unnamed unions since.
        .blocklist_type("rte_mbuf")
        .prepend_enum_name(false)
        .parse_callbacks(Box::new(Unprefixed));
    for pattern in FUNCTIONS {
        builder = builder.allowlist_function(pattern);
    }
    for pattern in TYPES {
        builder = builder.allowlist_type(pattern);
    }
    for pattern in CONSTANTS {
        builder = builder.allowlist_var(pattern);
    }
    for pattern in OPAQUE {
        builder = builder.opaque_type(pattern);
    }
    let out =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a directory for what is made"));
    let bindings = builder
        .generate()
        .unwrap_or_else(|error| panic!("the headers of DPDK cannot be read: {error}"));
    bindings
        .write_to_file(Path::new(&out).join("bindings.rs"))
        .expect("the bindings can be written");
}
