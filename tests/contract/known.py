"""What a person reads in the libraries' code; the product has no such tables.

HEADS says where the authors placed a model's heads, and FROZEN a part of its architecture
to freeze. Names in both stand for their families in `sample`.
"""

from dataclasses import dataclass

CLASSES = 7


@dataclass(frozen=True)
class Known:
    """A head: path, in_features, out_features now, out_features for 7 classes."""

    path: str
    into: int
    before: int
    after: int = CLASSES


ONE_HEAD = {
    "alexnet": ("classifier.6", 4096, 1000),
    "convnext_tiny": ("classifier.2", 768, 1000),
    "densenet121": ("classifier", 1024, 1000),
    "efficientnet_b0": ("classifier.1", 1280, 1000),
    "googlenet": ("fc", 1024, 1000),
    "mobilenet_v2": ("classifier.1", 1280, 1000),
    "regnet_y_400mf": ("fc", 440, 1000),
    "resnet50": ("fc", 2048, 1000),
    "shufflenet_v2_x0_5": ("fc", 1024, 1000),
    "squeezenet1_1": ("classifier.1", 512, 1000),
    "swin_t": ("head", 768, 1000),
    "vgg11": ("classifier.6", 4096, 1000),
    "vit_b_16": ("heads.head", 768, 1000),
    "quantized_resnet18": ("fc", 512, 1000),
    "mvit_v1_b": ("head.1", 768, 400),
    "r3d_18": ("fc", 512, 400),
    "s3d": ("classifier.1", 1024, 400),
    "timm/test_vit": ("head", 64, 1000),
    "timm/beit_base_patch16_224": ("head", 768, 1000),
    "timm/convnextv2_atto": ("head.fc", 320, 1000),
    "timm/efficientvit_b0": ("head.classifier.4", 1280, 1000),
    "timm/ghostnet_100": ("classifier", 1280, 1000),
    "timm/hrnet_w18_small": ("classifier", 2048, 1000),
    "timm/inception_v4": ("last_linear", 1536, 1000),
    "timm/mixer_s32_224": ("head", 512, 1000),
    "timm/mobilenetv4_conv_small": ("classifier", 1280, 1000),
    "timm/nfnet_f0": ("head.fc", 3072, 1000),
    "timm/rexnet_100": ("head.fc", 1280, 1000),
    "timm/swin_tiny_patch4_window7_224": ("head.fc", 768, 1000),
    "timm/vgg11": ("head.fc", 4096, 1000),
    "timm/vit_base_patch16_clip_224": ("head", 768, 1000),
}

SEVERAL_HEADS = {
    "inception_v3": [Known("fc", 2048, 1000), Known("AuxLogits.fc", 768, 1000)],
    "fcn_resnet50": [Known("classifier.4", 512, 21), Known("aux_classifier.4", 256, 21)],
    "deeplabv3_resnet50": [Known("classifier.4", 256, 21), Known("aux_classifier.4", 256, 21)],
    "lraspp_mobilenet_v3_large": [
        Known("classifier.low_classifier", 40, 21),
        Known("classifier.high_classifier", 128, 21),
    ],
    "fasterrcnn_mobilenet_v3_large_320_fpn": [
        Known("roi_heads.box_predictor.bbox_pred", 1024, 4 * 91, 4 * 8),
        Known("roi_heads.box_predictor.cls_score", 1024, 91, 8),
    ],
    "maskrcnn_resnet50_fpn": [
        Known("roi_heads.box_predictor.bbox_pred", 1024, 4 * 91, 4 * 8),
        Known("roi_heads.box_predictor.cls_score", 1024, 91, 8),
        Known("roi_heads.mask_predictor.mask_fcn_logits", 256, 91, 8),
    ],
    "keypointrcnn_resnet50_fpn": [
        Known("roi_heads.box_predictor.bbox_pred", 1024, 4 * 2, 4 * 8),
        Known("roi_heads.box_predictor.cls_score", 1024, 2, 8),
    ],
    "retinanet_resnet50_fpn": [
        Known("head.classification_head.cls_logits", 256, 9 * 91, 9 * 8),
    ],
    "fcos_resnet50_fpn": [Known("head.classification_head.cls_logits", 256, 91, 8)],
    "ssdlite320_mobilenet_v3_large": [
        Known(f"head.classification_head.module_list.{i}.1", width, 6 * 91, 6 * 8)
        for i, width in enumerate((672, 480, 512, 256, 256, 128))
    ],
    "timm/deit_tiny_distilled_patch16_224": [
        Known("head", 192, 1000),
        Known("head_dist", 192, 1000),
    ],
    "timm/levit_128s": [Known("head.linear", 384, 1000), Known("head_dist.linear", 384, 1000)],
}

HEADS = {name: [Known(*known)] for name, known in ONE_HEAD.items()} | SEVERAL_HEADS

FROZEN = {
    "alexnet": ("features",),
    "convnext_tiny": ("features.0", "features.1"),
    "densenet121": ("backbone",),
    "efficientnet_b0": ("features.6",),
    "fcn_resnet50": ("backbone",),
    "googlenet": ("inception4a", "inception3a.branch2"),
    "inception_v3": ("Mixed_5b", "AuxLogits"),
    "lraspp_mobilenet_v3_large": ("classifier",),
    "mnasnet0_5": ("layers.8",),
    "mobilenet_v2": ("backbone",),
    "mobilenet_v3_small": ("all",),
    "r3d_18": ("layer1",),
    "regnet_y_400mf": ("stem", "trunk_output.block3"),
    "resnet50": ("layer1", "fc.bias"),
    "retinanet_resnet50_fpn": ("head.classification_head",),
    "shufflenet_v2_x0_5": ("stage2",),
    "squeezenet1_1": ("head",),
    "ssdlite320_mobilenet_v3_large": ("backbone.features.0",),
    "swin_t": ("features.3",),
    "vgg11": ("features.0", "classifier.0"),
    "vit_b_16": ("encoder.pos_embedding", "encoder.layers.encoder_layer_3"),
    "timm/efficientvit_b0": ("stages.0",),
    "timm/ghostnet_100": ("conv_stem", "bn1"),
    "timm/levit_128s": ("backbone",),
    "timm/mixer_s32_224": ("blocks.2",),
    "timm/mobilenetv4_conv_small": ("blocks.1",),
    "timm/rexnet_100": ("features.3",),
    "timm/test_convnext": ("stages.0",),
    "timm/test_vit": ("patch_embed", "cls_token"),
    "timm/eva02_tiny_patch14_224": ("body.blocks.0",),  # headless: a head is appended
}
"""A part of each architecture: module paths, single parameters, and words."""

COMPUTES_ITS_OWN_LOSS = ("retinanet_resnet50_fpn", "ssdlite320_mobilenet_v3_large")

COUNTS, MORE_COUNTS = (1, 7, 120), (2, 30)
"""The least, the usual and many; those between them are tried by a slow test."""
MANY_COUNTS = (
    "googlenet",  # auxiliary heads in training
    "timm/test_vit",
    "timm/eva02_tiny_patch14_224",  # has no head
    "r3d_18",
    "lraspp_mobilenet_v3_large",  # resizes its logits
    "fcos_resnet50_fpn",  # branches on the class count
    "ssd300_vgg16",  # loops over the classes: followed for no count but its own
    "keypointrcnn_resnet50_fpn",
)
"""Models that are retargeted to each of several counts."""

HEADS_DEPEND_ON_WEIGHTS = ("googlenet", "fcn_resnet50", "deeplabv3_resnet50")
"""Without pretrained weights torchvision builds them with other auxiliary heads."""

TRAINED_HEADS = {
    "googlenet": {"fc", "aux1.fc2", "aux2.fc2"},
    "inception_v3": {"fc", "AuxLogits.fc"},
    "timm/deit_tiny_distilled_patch16_224": {"head", "head_dist"},
    "timm/crossvit_tiny_240": {"head.0", "head.1"},
}

COVERING = (
    # Several heads, or a class count that the code itself looks at.
    *SEVERAL_HEADS,
    *MANY_COUNTS,
    *TRAINED_HEADS,
    # A part to freeze that is named by each kind of word: head, backbone, all, a parameter.
    *("squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "resnet50", "vit_b_16"),
    # For an operator, a layer or a kind of weights that none of those has.
    *("alexnet", "maxvit_t", "quantized_resnet18", "s3d", "swin3d_t"),
    *("timm/aimv2_large_patch14_224", "timm/convnextv2_atto", "timm/resnest14d"),
    *("timm/rexnet_100", "timm/seresnext26ts", "timm/tresnet_m"),
)
"""Models that show in every run what all show: the kinds and numbers of their heads, and every
operator of torch that any of them meets (a slow test says so). The others repeat it."""
