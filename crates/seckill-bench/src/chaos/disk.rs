//! Disks that are full.

use std::{
    fs::{File, remove_file},
    io::{self, Write},
    path::PathBuf,
};

use super::{services::Service, world::World};

/// Fills what is left of the disk on which `service` keeps its data.
pub fn fill(world: &World, service: Service) -> anyhow::Result<()> {
    let mut file = File::create(ballast(world, service))?;
    let mut piece = vec![0; 1 << 20];
    while !piece.is_empty() {
        match file.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes room again, and starts the service if it has given up.
pub async fn make_room(world: &World, service: Service) -> anyhow::Result<()> {
    remove_file(ballast(world, service))?;
    world.services.start(service).await
}

fn ballast(world: &World, service: Service) -> PathBuf {
    world.services.folder(service).join("ballast")
}
