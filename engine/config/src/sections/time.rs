//! `[time]`.

use crate::files::BaseDir;
use crate::mistakes::Mistake;
use tero_time::zones::ZoneDataSetting;

section! {
    /// Local time.
    #[derive(Clone, Debug)]
    [time]
    pub struct LocalTime in base_dir {
        /// Where time zone data come from. They are read at start and on reload. The newer release
        /// of the folder and the data compiled into tero wins; a folder that doesn't tell its
        /// release wins if it is named here.
        zoneinfo: ZoneDataSetting
            = rule("`/usr/share/zoneinfo`, if its release is newer", ZoneDataSetting::System),
            Text("a folder of zone files, relative to this file, or `\"\"` for the compiled-in data")
            => |path| zoneinfo(path, base_dir);
    }
}

fn zoneinfo(path: &str, base_dir: BaseDir<'_>) -> Result<ZoneDataSetting, Mistake> {
    let Some(folder) = base_dir.path_or_none(path)? else {
        return Ok(ZoneDataSetting::CompiledIn);
    };
    if !folder.is_dir() {
        let problem = format!("there is no folder {}", folder.display());
        let cure = "write the path of a folder of zone files, \"/usr/share/zoneinfo\"";
        return Err(Mistake::new(problem, cure));
    }
    Ok(ZoneDataSetting::Folder(folder))
}
