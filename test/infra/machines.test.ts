import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Json, type Template, branches, dangling, environment as folder, functionOf, misfits, readTemplate } from './template.ts'; // prettier-ignore

describe('environment/machines.yaml', () => {
  const read = (): Template => readTemplate('machines.yaml');
  const faults = (template: Template): string[] => [...misfits(template), ...dangling(template), ...dangers(template)];

  it('is what the schemas of AWS ask for: types, properties, values, references', () => {
    assert.deepEqual(misfits(read()), []);
    assert.deepEqual(dangling(read()), []);
  });

  it('opens ssh to one address, encrypts every disk, asks for IMDSv2, takes images from SSM, and deletes nothing in the bucket', () => {
    assert.deepEqual(dangers(read()), []);
  });

  // What the checks above must catch: a change to the template, and what is said of it.
  const properties = (template: Template, name: string): Json => template.Resources[name].Properties as Json;
  const mistakes: [string, (template: Template) => void, RegExp][] = [
    [
      'an unknown type',
      (t) => (t.Resources['Gateway'].Type = 'AWS::EC2::Gateway'),
      /^Gateway: no type AWS::EC2::Gateway$/,
    ],
    ['an unknown property', (t) => (properties(t, 'Trainer')['Imageid'] = 'x'), /^Trainer\.Imageid: unknown$/],
    [
      'an unknown property deep inside',
      (t) => (ebs(properties(t, 'Trainer'))['Encrypt'] = true),
      /^Trainer\.BlockDeviceMappings\[0\]\.Ebs\.Encrypt: unknown$/,
    ],
    ['a missing required property', (t) => delete properties(t, 'S3Endpoint')['VpcId'], /^S3Endpoint\.VpcId: missing$/],
    [
      'a number that is none',
      (t) => (properties(t, 'TrainerIdle')['Period'] = 'hourly'),
      /^TrainerIdle\.Period: expected integer, got "hourly"$/,
    ],
    [
      'a value that is not among the allowed',
      (t) => (properties(t, 'S3Endpoint')['VpcEndpointType'] = 'Gate'),
      /^S3Endpoint\.VpcEndpointType: expected one of Interface, Gateway, .*, got "Gate"$/,
    ],
    [
      'a list that is none',
      (t) => (properties(t, 'Trainer')['SecurityGroupIds'] = 'sg-1'),
      /^Trainer\.SecurityGroupIds: expected a list/,
    ],
    [
      'a Ref to nothing',
      (t) => (properties(t, 'Trainer')['SubnetId'] = { Ref: 'Subnett' }),
      /^Subnett: .* nothing has this name$/,
    ],
    [
      'a Sub of nothing',
      (t) => (properties(t, 'S3Endpoint')['ServiceName'] = { 'Fn::Sub': 'com.amazonaws.${Region}.s3' }),
      /^Region: .* nothing has this name$/,
    ],
    [
      'an attribute that there is not',
      (t) => (t.Outputs['TrainerTunnel'] = { Value: { 'Fn::GetAtt': ['Trainer', 'Address'] } }),
      /^Trainer\.Address: no such attribute$/,
    ],
    [
      'a condition that there is not',
      (t) => (t.Resources['Trainer'].Condition = 'Maybe'),
      /^Maybe: no such condition$/,
    ],
    [
      'a parameter that nothing uses',
      (t) => (t.Parameters['Colour'] = { Type: 'String' }),
      /^Colour: nothing uses this parameter$/,
    ],
    [
      'a default that its own parameter refuses',
      (t) => (t.Parameters['TrainerType']['Default'] = 'p3.16xlarge'),
      /^TrainerType: refuses its own default$/,
    ],
    [
      'ssh from everywhere',
      (t) => (ingress(t)['CidrIp'] = '0.0.0.0/0'),
      /^Ssh lets in "0\.0\.0\.0\/0": expected the parameter SshFrom, port 22$/,
    ],
    ['another port let in', (t) => (ingress(t)['ToPort'] = 8888), /^Ssh lets in /],
    [
      'an address parameter for any network',
      (t) => (t.Parameters['SshFrom']['AllowedPattern'] = '.*'),
      /^SshFrom accepts /,
    ],
    [
      'a disk that is not encrypted',
      (t) => (ebs(properties(t, 'Datamaker'))['Encrypted'] = false),
      /^Datamaker: a disk is not encrypted$/,
    ],
    ['a right to everything in S3', (t) => (rights(t, 'TrainerRole')[1]['Action'] = 's3:*'), /^TrainerRole may s3:\*$/],
    [
      'a right to delete',
      (t) => (rights(t, 'TrainerRole')[2]['Action'] = 's3:DeleteObject'),
      /^TrainerRole may s3:DeleteObject$/,
    ],
    [
      'a right in every bucket',
      (t) => (rights(t, 'DatamakerRole')[1]['Resource'] = '*'),
      /^DatamakerRole may reach "\*"$/,
    ],
    [
      'IMDSv1',
      (t) => ((properties(t, 'Trainer')['MetadataOptions'] as Json)['HttpTokens'] = 'optional'),
      /^Trainer: IMDSv2 is not required$/,
    ],
    [
      'a fixed image',
      (t) => (properties(t, 'Trainer')['ImageId'] = 'ami-0123456789abcdef0'),
      /^Trainer: its image is not from SSM$/,
    ],
    [
      'a public bucket',
      (t) => delete properties(t, 'Storage')['PublicAccessBlockConfiguration'],
      /^Storage: not closed to the public$/,
    ],
    [
      'a bucket that goes with the stack',
      (t) => delete t.Resources['Storage']['DeletionPolicy'],
      /^Storage: deleted with the stack$/,
    ],
  ];
  for (const [name, change, said] of mistakes) {
    it(`would be refused with ${name}`, () => {
      const template = read();
      change(template);
      const found = faults(template);
      assert.ok(
        found.some((fault) => said.test(fault)),
        `said ${JSON.stringify(found)}`,
      );
    });
  }

  it('takes one address and no network as SshFrom', () => {
    const pattern = new RegExp(String(read().Parameters['SshFrom']['AllowedPattern']));
    for (const good of ['203.0.113.7/32', '1.1.1.1/32', '255.255.255.255/32']) assert.match(good, pattern);
    for (const bad of ['0.0.0.0/0', '0.0.0.0/32', '203.0.113.0/24', '203.0.113.7', '256.1.1.1/32', '::/0'])
      assert.doesNotMatch(bad, pattern);
  });

  it('makes a disk of 500 GiB for the datamaker, an m5.xlarge, and of 1,000 GiB for the trainer, of a type without V100', () => {
    const defaults = ['DatamakerGiB', 'TrainerGiB', 'DatamakerType', 'TrainerType'].map(
      (n) => read().Parameters[n]['Default'],
    );
    assert.deepEqual(defaults, [500, 1000, 'm5.xlarge', 'g5.12xlarge']);
  });

  it('has a price in README.md for every machine that it may make', () => {
    const page = readFileSync(join(folder, 'README.md'), 'utf8');
    const { DatamakerType, TrainerType } = read().Parameters;
    for (const type of [DatamakerType['Default'], ...(TrainerType['AllowedValues'] as string[])])
      assert.match(page, new RegExp(`^\\|.*${String(type)}.*\\| [0-9.]+`, 'm'));
  });

  for (const role of ['Datamaker', 'Trainer']) {
    it(`starts the ${role.toLowerCase()} with a script that bash reads and that runs first-boot.sh`, () => {
      const { 'Fn::Base64': body } = properties(read(), role)['UserData'] as { 'Fn::Base64': { 'Fn::Sub': string } };
      const script = body['Fn::Sub'].replace(/\$\{\w+\}/g, 'value');
      assert.match(script, new RegExp(`^imagesim/environment/first-boot\\.sh ${role.toLowerCase()}$`, 'm'));
      assert.ok(script.startsWith('#!/bin/bash\n') && script.length < 16_384); // what EC2 takes
      checkScript(script);
    });
  }

  for (const script of ['environment/first-boot.sh', 'setup.sh']) {
    it(`comes with a ${script} that bash reads`, () => checkScript(readFileSync(join(folder, '..', script), 'utf8')));
  }

  it('is refused by first-boot.sh for a role that it does not know, before anything is installed', () => {
    const { status, stderr } = spawnSync(join(folder, 'first-boot.sh'), ['tester'], { encoding: 'utf8' });
    assert.deepEqual(
      { status, stderr },
      { status: 1, stderr: "first-boot.sh: unknown role 'tester': it takes datamaker or trainer\n" },
    );
  });
});

/** `bash -n`, and shellcheck where it is there. */
function checkScript(script: string): void {
  const read = spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' });
  assert.deepEqual({ status: read.status, stderr: read.stderr }, { status: 0, stderr: '' });
  const { error, stdout } = spawnSync('shellcheck', ['-s', 'bash', '-'], { input: script, encoding: 'utf8' });
  if (error === undefined) assert.equal(stdout, '');
}

// --- what no schema forbids

type Statement = { Effect: string; Action: string | string[]; Resource: unknown };

function ebs(instance: Json): Json {
  return (instance['BlockDeviceMappings'] as { Ebs: Json }[])[0].Ebs;
}

function ingress({ Resources }: Template): Json {
  return (Resources['Ssh'].Properties as { SecurityGroupIngress: Json[] }).SecurityGroupIngress[0];
}

function rights({ Resources }: Template, role: string): Statement[] {
  const { Policies } = Resources[role].Properties as { Policies: { PolicyDocument: { Statement: Statement[] } }[] };
  return Policies.flatMap((policy) => policy.PolicyDocument.Statement);
}

/** What is fit for CloudFormation, and not for us. */
function dangers(template: Template): string[] {
  return Object.entries(template.Resources).flatMap(([name, { Type, Properties = {}, ...entry }]) => {
    if (Type === 'AWS::EC2::Instance') return dangersOfInstance(name, Properties, template);
    if (Type === 'AWS::EC2::SecurityGroup') return dangersOfGroup(name, Properties, template);
    if (Type === 'AWS::IAM::Role') return dangersOfRole(name, template);
    if (Type === 'AWS::S3::Bucket') return dangersOfBucket(name, Properties, entry);
    return [];
  });
}

function dangersOfInstance(name: string, properties: Json, { Parameters }: Template): string[] {
  const { HttpTokens, HttpPutResponseHopLimit } = (properties['MetadataOptions'] ?? {}) as Json;
  const image = properties['ImageId'];
  const images = functionOf(image) === 'Fn::If' ? branches(image) : [image];
  const fromSsm = (one: unknown): boolean =>
    functionOf(one) === 'Ref' &&
    String(Parameters[(one as { Ref: string }).Ref]['Type']).startsWith('AWS::SSM::Parameter::Value<');
  return [
    ...(HttpTokens === 'required' && HttpPutResponseHopLimit === 1 ? [] : [`${name}: IMDSv2 is not required`]),
    ...(images.every(fromSsm) ? [] : [`${name}: its image is not from SSM`]),
    ...((properties['BlockDeviceMappings'] as { Ebs: Json }[]).every((disk) => disk.Ebs['Encrypted'] === true)
      ? []
      : [`${name}: a disk is not encrypted`]),
  ];
}

function dangersOfGroup(name: string, properties: Json, { Parameters }: Template): string[] {
  const pattern = new RegExp(String(Parameters['SshFrom']['AllowedPattern']));
  return [
    ...(properties['SecurityGroupIngress'] as Json[])
      .filter(
        (rule) => JSON.stringify([rule['CidrIp'], rule['FromPort'], rule['ToPort']]) !== '[{"Ref":"SshFrom"},22,22]',
      )
      .map((rule) => `${name} lets in ${JSON.stringify(rule['CidrIp'])}: expected the parameter SshFrom, port 22`),
    ...['0.0.0.0/0', '10.0.0.0/8', '203.0.113.0/31'].filter((n) => pattern.test(n)).map((n) => `SshFrom accepts ${n}`),
  ];
}

function dangersOfRole(name: string, template: Template): string[] {
  const objects = ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'];
  const allowed = new Set(['s3:ListBucket', 's3:GetBucketLocation', ...objects]);
  const ours = /^arn:\$\{AWS::Partition\}:s3:::\$\{Bucket\}(\/[A-Za-z].*)?$/;
  return rights(template, name).flatMap(({ Action, Resource }) => [
    ...[Action]
      .flat()
      .filter((action) => !allowed.has(action))
      .map((action) => `${name} may ${action}`),
    ...[Resource]
      .flat()
      .filter((place) => !ours.test(String((place as Json)['Fn::Sub'])))
      .map((place) => `${name} may reach ${JSON.stringify(place)}`),
  ]);
}

function dangersOfBucket(name: string, properties: Json, entry: Json): string[] {
  const closed = Object.values((properties['PublicAccessBlockConfiguration'] ?? {}) as Json);
  const kept = entry['DeletionPolicy'] === 'Retain' && entry['UpdateReplacePolicy'] === 'Retain';
  return [
    ...(closed.length === 4 && closed.every((value) => value === true) ? [] : [`${name}: not closed to the public`]),
    ...(properties['BucketEncryption'] ? [] : [`${name}: not encrypted`]),
    ...(kept ? [] : [`${name}: deleted with the stack`]),
  ];
}
