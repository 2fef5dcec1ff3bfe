import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Json, type Template, dangling, environment, misfits, readTemplate } from './template.ts';

const checkout = join(environment, '..');

describe('environment/batch.yaml', () => {
  const read = (): Template => readTemplate('batch.yaml');
  const properties = (name: string, template = read()): Json => template.Resources[name].Properties as Json;

  /** What workers are allowed, with imagery that they may write or without. */
  function workersMay(imagery: boolean): { Action: string[]; Resource: { 'Fn::Sub': string }[] }[] {
    const { Policies } = properties('WorkerRole') as { Policies: { PolicyDocument: { Statement: Json[] } }[] };
    return Policies.flatMap(({ PolicyDocument }) => PolicyDocument.Statement).flatMap((one) => {
      const [, ifSo, ifNot] = (one['Fn::If'] as [string, Json, Json] | undefined) ?? ['', one, one];
      const { Action, Resource, Ref } = imagery ? ifSo : ifNot;
      return Ref === 'AWS::NoValue' ? [] : [{ Action: [Action].flat(), Resource: [Resource].flat() }];
    }) as ReturnType<typeof workersMay>;
  }

  it('is what the schemas of AWS ask for: types, properties, values, references', () => {
    assert.deepEqual(misfits(read()), []);
    assert.deepEqual(dangling(read()), []);
  });

  const mistakes: [string, (template: Template) => void, RegExp][] = [
    ['an unknown property', (t) => (properties('Machines', t)['Kind'] = 'x'), /^Machines\.Kind: unknown$/],
    ['another strategy', (t) => ((properties('Machines', t)['ComputeResources'] as Json)['MinvCpus'] = 'none'), /^Machines\.ComputeResources\.MinvCpus: expected integer/],
    ['a queue without priority', (t) => delete properties('Queue', t)['Priority'], /^Queue\.Priority: missing$/],
    ['a Ref to nothing', (t) => (properties('DataA', t)['SubnetId'] = { Ref: 'SubnetD' }), /^SubnetD: .* nothing has this name$/],
  ]; // prettier-ignore
  for (const [name, change, said] of mistakes) {
    it(`would be refused with ${name}`, () => {
      const template = read();
      change(template);
      const found = [...misfits(template), ...dangling(template)];
      assert.ok(found.some((fault) => said.test(fault)), JSON.stringify(found)); // prettier-ignore
    });
  }

  it('runs spot machines of any zone, none when nothing is to do, and starts a worker again whose machine is taken away', () => {
    const resources = properties('Machines')['ComputeResources'] as Json;
    assert.deepEqual([resources['Type'], resources['MinvCpus']], ['SPOT', 0]);
    assert.equal((resources['Subnets'] as unknown[]).length, 3);
    const { Attempts, EvaluateOnExit } = properties('Definition')['RetryStrategy'] as { Attempts: number; EvaluateOnExit: Json[] }; // prettier-ignore
    assert.ok(Attempts >= 3);
    assert.deepEqual(EvaluateOnExit[0], { OnStatusReason: 'Host EC2*', Action: 'RETRY' });
    assert.deepEqual(EvaluateOnExit.at(-1), { OnReason: '*', Action: 'EXIT' });
  });

  it('lets nobody in but workers to the file system, encrypts disks, asks for IMDSv2, and lets workers delete nothing', () => {
    const template = read();
    assert.equal(properties('Workers')['SecurityGroupIngress'], undefined);
    const [entry, ...more] = properties('Shared')['SecurityGroupIngress'] as Json[];
    assert.deepEqual([more, entry['SourceSecurityGroupId'], entry['ToPort']], [[], { Ref: 'Workers' }, 2049]);
    assert.equal(properties('Data')['Encrypted'], true);
    assert.equal(template.Resources['Data']['DeletionPolicy'], 'Retain');
    const { MetadataOptions, BlockDeviceMappings } = properties('Machine')['LaunchTemplateData'] as { MetadataOptions: Json; BlockDeviceMappings: { Ebs: Json }[] }; // prettier-ignore
    assert.deepEqual([MetadataOptions['HttpTokens'], BlockDeviceMappings[0].Ebs['Encrypted']], ['required', true]);
    const allowed = [
      's3:ListBucket',
      's3:GetBucketLocation',
      's3:GetObject',
      's3:PutObject',
      's3:AbortMultipartUpload',
    ];
    for (const imagery of [false, true]) assert.deepEqual(new Set(workersMay(imagery).flatMap(({ Action }) => Action)), new Set(allowed)); // prettier-ignore
  });

  it('lets workers write imagery where that is asked for, and else what they make of it', () => {
    const written = (imagery: boolean): string[] =>
      workersMay(imagery)
        .filter(({ Action }) => Action.includes('s3:PutObject'))
        .flatMap(({ Resource }) => Resource.map((one) => one['Fn::Sub'].split('${Bucket}/')[1]));
    const made = ['ard/*/osm_data.json', 'ard/*/osm_data.meta.json', 'chips/*', 'embeddings/*', 'nodata-index.json', 'nodata-index.parts/*']; // prettier-ignore
    assert.deepEqual(written(false), made);
    assert.deepEqual(written(true), [...made, 'ard/*', 'demo-ard/*', 'licences/*']);
    const { Parameters, Conditions } = read();
    assert.equal(Parameters['WriteImagery']['Default'], 'no');
    assert.deepEqual(Conditions['WritesImagery'], { 'Fn::Equals': [{ Ref: 'WriteImagery' }, 'yes'] });
  });

  it('calls queue and definition as imagesim submit does if nothing is said, and mounts the data folder that it names', () => {
    assert.deepEqual([properties('Queue')['JobQueueName'], properties('Definition')['JobDefinitionName']], ['imagesim', 'imagesim']); // prettier-ignore
    const container = properties('Definition')['ContainerProperties'] as { Environment: Json[]; MountPoints: Json[] };
    const data = container.Environment.find(({ Name }) => Name === 'IMAGESIM_DATA')?.['Value'];
    assert.deepEqual([data, container.MountPoints[0]['ContainerPath']], ['/data', '/data']);
  });

  it('has a second definition that is the first without the file system', () => {
    const { Volumes, MountPoints, ...container } = properties('Definition')['ContainerProperties'] as Json;
    assert.ok(Volumes && MountPoints);
    assert.deepEqual(properties('DefinitionAlone'), { ...properties('Definition'), JobDefinitionName: 'imagesim-alone', ContainerProperties: container }); // prettier-ignore
  });
});

describe('environment/parallelcluster.yaml', () => {
  // What of ParallelCluster 3's configuration it uses: https://docs.aws.amazon.com/parallelcluster/latest/ug/cluster-configuration-file-v3.html
  const s3 = z.strictObject({ S3Access: z.array(z.strictObject({ BucketName: z.string(), EnableWriteAccess: z.boolean() })) });
  const head = z.strictObject({
    InstanceType: z.string(), Networking: z.strictObject({ SubnetId: z.string() }),
    Ssh: z.strictObject({ KeyName: z.string(), AllowedIps: z.string() }), Imds: z.strictObject({ Secured: z.literal(true) }), Iam: s3,
    LocalStorage: z.strictObject({ RootVolume: z.strictObject({ Encrypted: z.literal(true) }) }),
  });
  const compute = z.strictObject({
    Name: z.string().regex(/^[a-z][a-z0-9-]{0,24}$/), Instances: z.array(z.strictObject({ InstanceType: z.string() })).min(1),
    MinCount: z.int().min(0), MaxCount: z.int().min(1), DisableSimultaneousMultithreading: z.boolean(),
  });
  const queue = z.strictObject({
    Name: z.string().regex(/^[a-z][a-z0-9-]{0,24}$/), CapacityType: z.enum(['ONDEMAND', 'SPOT', 'CAPACITY_BLOCK']),
    AllocationStrategy: z.enum(['lowest-price', 'capacity-optimized', 'price-capacity-optimized', 'prioritized', 'capacity-optimized-prioritized']),
    ComputeResources: z.array(compute).min(1), Networking: z.strictObject({ SubnetIds: z.array(z.string()).min(1) }), Iam: s3,
  });
  const settings = z.strictObject({ ScaledownIdletime: z.int().min(-1), CustomSlurmSettings: z.array(z.record(z.string(), z.union([z.string(), z.number()]))) });
  const lustre = z.strictObject({
    StorageCapacity: z.int().refine((gib) => gib === 1200 || gib % 2400 === 0), DeploymentType: z.enum(['SCRATCH_1', 'SCRATCH_2', 'PERSISTENT_1', 'PERSISTENT_2']), DataCompressionType: z.literal('LZ4'),
  });
  const cluster = z.strictObject({
    Region: z.string(), Image: z.strictObject({ Os: z.enum(['alinux2', 'alinux2023', 'ubuntu2004', 'ubuntu2204', 'ubuntu2404', 'rhel8', 'rocky8', 'rhel9', 'rocky9']) }), HeadNode: head,
    Scheduling: z.strictObject({ Scheduler: z.literal('slurm'), SlurmSettings: settings, SlurmQueues: z.array(queue).min(1) }),
    SharedStorage: z.array(z.strictObject({ MountDir: z.string().startsWith('/'), Name: z.string(), StorageType: z.literal('FsxLustre'), FsxLustreSettings: lustre })),
  }); // prettier-ignore
  const read = (): z.infer<typeof cluster> => cluster.parse(parse(readFileSync(join(environment, 'parallelcluster.yaml'), 'utf8')));

  it('is of the form of ParallelCluster 3, with no key that it does not have', () => {
    assert.equal(read().Scheduling.Scheduler, 'slurm');
    const text = readFileSync(join(environment, 'parallelcluster.yaml'), 'utf8').replace('MaxCount', 'MaximumCount');
    assert.equal(cluster.safeParse(parse(text)).success, false);
  });

  it('puts a worker into the queue again whose machine is lost, and takes arrays as long as Batch does', () => {
    const own = Object.assign({}, ...read().Scheduling.SlurmSettings.CustomSlurmSettings) as Json;
    assert.deepEqual([own['JobRequeue'], own['MaxArraySize']], [1, 10_001]);
    assert.equal(read().Scheduling.SlurmQueues[0].CapacityType, 'SPOT');
  });
}); // prettier-ignore

describe('environment/Containerfile', () => {
  const lines = readFileSync(join(environment, 'Containerfile'), 'utf8').replaceAll('\\\n', ' ').split('\n').filter((line) => line && !line.startsWith('#')); // prettier-ignore
  const all = (word: string): string[] => lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1)); // prettier-ignore

  it('says nothing that Docker does not know', () => {
    const known = new Set(['FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'ENTRYPOINT', 'CMD']);
    assert.deepEqual(lines.map((line) => line.split(' ')[0]).filter((word) => !known.has(word)), []); // prettier-ignore
    for (const form of ['ENTRYPOINT', 'CMD']) assert.ok(Array.isArray(JSON.parse(all(form)[0])));
  });

  it('copies what is there', () => {
    const copied = all('COPY').filter((words) => !words.startsWith('--from')).flatMap((words) => words.split(' ').slice(0, -1)); // prettier-ignore
    assert.ok(copied.length > 5);
    for (const path of copied) assert.ok(existsSync(join(checkout, path)), path);
  });

  it('begins with a Node that the library asks for, and starts the command itself', () => {
    assert.ok(all('FROM').every((image) => /^node:22-bookworm-slim( AS build)?$/.test(image)));
    const [program, script] = JSON.parse(all('ENTRYPOINT')[0]) as string[];
    assert.equal(program, 'node');
    assert.ok(existsSync(join(checkout, script.replace('/imagesim/', ''))));
  });
});
