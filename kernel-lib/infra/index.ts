// 01 · infra: the machine, the settings, the delivery, and the notebooks' runs.
// Takes an address of a delivery; makes the data folder that every later stage reads.
export { type Scale, byScale, dataPath, HOME_ZONE, projectRoot, scale, setting, zoneOnDisk } from './settings.ts';
export { type DoctorOptions, doctor } from './doctor.ts';
export { type Finding, findingLines } from './finding.ts';
export { type Trainer, provenTrainer, trainerOfKernel } from './trainer.ts';
export { type DataManifest, type OutsideAsset, RECORDED, manifestSchema, readManifest } from './manifest.ts';
export { type DataOptions, type DataState, type Verdict, listData, verifyData } from './data.ts';
export { type PullOptions, type PullReport, pullData } from './pull.ts';
export { httpsSource } from './https.ts';
export { type FoundDelivery, findDelivery } from './delivery.ts';
export { type TileFilter, checkFilter, isWanted, tileFilter, touches, whyUnfit } from './filter.ts';
export { type SyncCost, type SyncPlan, bytesText, durationText, filesText, planLines } from './plan.ts';
export { type TransferOptions } from './transfer.ts';
export { type Made, type OutboxOptions, Outbox, filesBelow, outboxOf } from './outbox.ts';
export { type LentFile, lentInBucket, lentOnDisk } from './lent.ts';
export { type Ground, type GroundOptions, groundAddress, groundOf, openGround, openPatiently } from './ground.ts';
export { type Moved, type SyncOptions, type SyncReport, syncDelivery } from './sync.ts';
export { relayDelivery } from './relay.ts';
export { type TreeOptions, type TreeReport, TREES, pullTree, pushTree, treeAddress } from './tree.ts';
export { type NotebookRun, type NotebooksOptions, chooseNotebooks, runNotebooks } from './notebooks.ts';
export { type Lab, type LabOptions, openLab } from './lab.ts';
export { type ArrayJob, type ArrayState, type Engine, type ShardFault } from './submit/array.ts';
export { type SubmitOptions, type SubmitReport, arrayJob, mergeOf, redoCommand, submitArray } from './submit/submit.ts';
export { LocalEngine } from './submit/local.ts';
export { SlurmEngine } from './submit/slurm.ts';
export { type BatchPlace, BatchEngine } from './submit/batch.ts';
