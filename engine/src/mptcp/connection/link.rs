//! Links and local addresses that come and go, and the priority of paths (RFC 8684 section
//! 3.3.8).

use super::Connection;
use super::Mode;
use super::context::{Context, SubflowHandle};
use super::subflow_view::{Phase, SubflowView};
use crate::mptcp::message::ToSubflow;
use crate::wire::mptcp_option::{MptcpOption, ResetReason};
use arrayvec::ArrayVec;
use core::net::IpAddr;

impl Connection {
    /// The link behind a local address is down: what its subflows carry travels elsewhere. They
    /// stay, for the link may return before they time out.
    pub fn link_down(&mut self, local: IpAddr, cx: &mut Context<'_>) {
        for index in 0..self.views.len() {
            let Some(view) = self.views.get_mut(index) else {
                break;
            };
            if view.path.local.ip() == local && !view.link_down {
                view.link_down = true;
                let handle = view.handle;
                self.reinject_ledger(handle, cx);
            }
        }
        self.ask_to_retain(cx);
        self.settle(cx);
    }

    /// The link behind a local address is up again: its subflows are probed, those that ended are
    /// opened again.
    pub fn link_up(&mut self, local: IpAddr, cx: &mut Context<'_>) {
        for view in &mut self.views {
            if view.path.local.ip() == local && view.link_down {
                view.link_down = false;
                if view.is_open() {
                    cx.out.send(view.handle, ToSubflow::Probe);
                }
            }
        }
        self.ask_to_retain(cx);
        self.paths.address_returned(local, cx.now);
        self.settle(cx);
    }

    /// The host lost a local address: its subflows are reset and the peer is told.
    pub fn address_removed(&mut self, local: IpAddr, cx: &mut Context<'_>) {
        let mut address_ids = ArrayVec::<u8, 16>::new();
        for index in 0..self.views.len() {
            let Some(view) = self.views.get(index) else {
                break;
            };
            if view.path.local.ip() != local {
                continue;
            }
            let (handle, id) = (view.handle, view.path.local_address_id);
            if !address_ids.contains(&id) {
                // Further ones would find no subflow: a host has no more identifiers per address.
                let _ = address_ids.try_push(id);
            }
            self.reset_view(handle, Some(ResetReason::Unspecified), cx);
        }
        if let Some(id) = self.paths.address_gone(local)
            && !address_ids.contains(&id)
        {
            let _ = address_ids.try_push(id);
        }
        let multipath = matches!(self.mode, Mode::Multipath { .. });
        if multipath
            && !address_ids.is_empty()
            && let Some(handle) = self.best_view(None)
        {
            cx.counters.remove_addr_sent += 1;
            let option = MptcpOption::RemoveAddress { address_ids };
            cx.out.send(handle, ToSubflow::Signal(option));
        }
        self.settle(cx);
    }

    /// Makes all paths from a local address backups, or regular ones, also those still wanted.
    pub fn set_backup_from(&mut self, local: IpAddr, backup: bool, cx: &mut Context<'_>) {
        self.paths.set_backup_from(local, backup);
        let from_there = |view: &&SubflowView| view.path.local.ip() == local;
        let handles: Vec<_> = self
            .views
            .iter()
            .filter(from_there)
            .map(|view| view.handle)
            .collect();
        for handle in handles {
            self.set_backup(handle, backup, cx);
        }
    }

    /// Makes a path a backup, or a regular one, and tells the peer so. False when there is no
    /// such subflow.
    pub fn set_backup(
        &mut self,
        handle: SubflowHandle,
        backup: bool,
        cx: &mut Context<'_>,
    ) -> bool {
        let known = self.change_backup(handle, backup, cx);
        self.settle(cx);
        known
    }

    pub(super) fn change_backup(
        &mut self,
        handle: SubflowHandle,
        backup: bool,
        cx: &mut Context<'_>,
    ) -> bool {
        let multipath = matches!(self.mode, Mode::Multipath { .. });
        let Some(view) = self.view_mut(handle) else {
            return false;
        };
        if multipath && view.path.backup != backup {
            view.path.backup = backup;
            view.called_up = false;
            // A SYN or its answer may have said otherwise.
            view.priority_due = view.phase == Phase::Handshake;
            cx.out.send(handle, ToSubflow::SetBackup(backup));
            if view.is_ready() {
                cx.counters.priority_sent += 1;
                let option = MptcpOption::Priority { backup };
                cx.out.send(handle, ToSubflow::Signal(option));
            }
        }
        true
    }
}
