//! The thread that starts all processes.
//!
//! The kernel kills a jailed process when the *thread* that forked it ends, so that thread must live as long as
//! the workers do; threads of an async runtime's blocking pool do not.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use tokio::sync::oneshot;

use super::{Jail, JailError, process::spawn_error};

type Task = Box<dyn FnOnce(&Jail) + Send>;

/// A handle of the thread. The thread ends with its last handle, and with it every process that it started.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    tasks: mpsc::Sender<Task>,
}

impl Spawner {
    /// Starts the thread.
    pub(crate) fn new(jail: Arc<Jail>) -> Result<Self, JailError> {
        let (tasks, queue) = mpsc::channel::<Task>();
        thread::Builder::new()
            .name("dise-spawner".to_owned())
            .spawn(move || queue.into_iter().for_each(|task| task(&jail)))
            .map_err(spawn_error)?;
        Ok(Self { tasks })
    }

    /// Runs `start` on the thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        start: impl FnOnce(&Jail) -> Result<T, JailError> + Send + 'static,
    ) -> Result<T, JailError> {
        let (sender, receiver) = oneshot::channel();
        let task = Box::new(move |jail: &Jail| {
            // Whoever asked may be gone; then the process is dropped here, which ends it.
            let _ = sender.send(start(jail));
        });
        self.tasks.send(task).map_err(|_| JailError::ShutDown)?;
        receiver.await.map_err(|_| JailError::ShutDown)?
    }
}
