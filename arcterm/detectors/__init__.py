"""The face detectors that come with arcterm, as declarations.

Begin with the contract they keep, `arcterm_registry.contracts.FaceDetector`. No weights come with arcterm:
`find` of each looks for them on this machine (`places`).
"""

from __future__ import annotations

from arcterm_registry import Detector, Option

mtcnn = Detector(
    summary="MTCNN, the three networks of 2016 that most aligned sets were made with",
    batch=32,
    factory="arcterm.detectors.cascade.detector:MTCNN",
    find="arcterm.detectors.places:find_mtcnn",
    advice=(
        "`pip install --no-deps facenet-pytorch` carries them; or put FaceNet's det1.npy, det2.npy and "
        "det3.npy into ~/.local/share/arcterm/detectors/mtcnn, or name their folder in ARCTERM_MTCNN"
    ),
    options=(
        Option(
            name="minsize",
            type=int,
            default=20,
            low=12,
            high=100_000,
            help="Side in pixels of the smallest face; twice as small takes four times as long",
        ),
        Option(
            name="factor",
            type=float,
            default=0.709,
            low=0.1,
            high=0.95,
            help="Each scale of the pyramid is so much of the one before",
        ),
        *(
            Option(
                name=f"threshold{stage}",
                type=float,
                default=default,
                low=0,
                high=1,
                help=f"Least probability of a face in {network}",
            )
            for stage, network, default in ((1, "P-Net", 0.6), (2, "R-Net", 0.7), (3, "O-Net", 0.7))
        ),
    ),
)

yunet = Detector(
    summary="YuNet of OpenCV's model zoo: fast, for faces of about 10 to 300 pixels",
    factory="arcterm.detectors.onnxyunet:YuNet",
    find="arcterm.detectors.places:find_yunet",
    advice=(
        "put face_detection_yunet_2023mar.onnx of github.com/opencv/opencv_zoo into "
        "~/.local/share/arcterm/detectors, or name it in ARCTERM_YUNET"
    ),
    options=(
        Option(
            name="score",
            type=float,
            default=0.6,
            low=0,
            high=1,
            help="Least score of a face; 0.6, as in OpenCV's zoo, finds small and turned faces too",
        ),
        Option(
            name="nms",
            type=float,
            default=0.3,
            low=0,
            high=1,
            help="Of two boxes that share more of their union than this the better stays",
        ),
        Option(
            name="top_k",
            type=int,
            default=5000,
            low=1,
            high=1_000_000,
            help="So many candidates are compared at most",
        ),
        Option(
            name="longest",
            type=int,
            default=1280,
            low=32,
            high=8192,
            help="An image with a longer side is looked at reduced to this",
        ),
    ),
)
