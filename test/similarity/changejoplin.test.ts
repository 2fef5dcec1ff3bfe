import assert from 'node:assert/strict';
import { join } from 'node:path';
import { backboneEncoder, changeBaselines, changedShares, detectChange, readChangeVectors, scoreChanges } from 'imagesim/similarity'; // prettier-ignore
import { openBackbone } from 'imagesim/training';
import { joplin, needsShared, shared } from '../delivery.ts';

describe('change at Joplin', () => {
  before(needsShared);

  it('is judged by a band drawn before any score: 119 of the 154 chips that both days saw', async () => {
    const band = await readChangeVectors(import.meta.dirname);
    const list = await detectChange(joplin, { keepsPictures: true });
    const shares = changedShares(band, list.changes.map(({ id }) => id)); // prettier-ignore
    const { chips, changed, chance } = scoreChanges(list.changes, shares);
    assert.deepEqual([chips, changed], [154, 119]);
    const matched = changeBaselines(list).find(({ name }) => name === 'pixel difference, matched')!;
    assert.ok(scoreChanges(matched.ranked, shares).averagePrecision.value > chance + 0.08);
    assert.ok(list.groups[0].agreement > 0, 'what befell most of the ground does not pass for the season');
  }).timeout(120_000);

  it('comes out by a pretrained network', async function () {
    if (!process.env['IMAGESIM_PROOF']) this.skip();
    const path = join(shared, 'data/backbone/mobilenet_v1_1.0_224_embed_w8.onnx');
    const backbone = await openBackbone(path, { pixels: { scale: 1 / 128, offset: -1 } });
    const list = await detectChange(joplin, { encoder: backboneEncoder(backbone), keepsPictures: true });
    const { changes } = list;
    await backbone.close();
    const shares = changedShares(await readChangeVectors(import.meta.dirname), changes.map(({ id }) => id)); // prettier-ignore
    const { averagePrecision, chance } = scoreChanges(changes, shares);
    assert.ok(averagePrecision.value > chance + 0.1, `${averagePrecision.value}, ${chance} by chance`);
    for (const { name, ranked } of changeBaselines(list))
      assert.ok(averagePrecision.value > scoreChanges(ranked, shares).averagePrecision.value, name);
  });
});
